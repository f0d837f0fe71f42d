use expect_or::hex;
use proptest::prelude::*;

use super::*;
use crate::log::builder::FrameBuilder;

/// Nothing but a small hexdump for golden bytes.
mod expect_or {
    pub(super) fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}

fn frame(lsn: u64, records: &[(u8, Vec<u8>)]) -> (Vec<u8>, FrameHeader) {
    let mut builder = FrameBuilder::new(Vec::new(), Vec::new(), Lsn(lsn), Epoch(7), Lsn(5));
    for (kind, payload) in records {
        builder.push(*kind, |_, out| out.extend_from_slice(payload));
    }
    let mut buf = builder.buf;
    let header = FrameHeader {
        len: 0,
        crc: 0,
        epoch: Epoch(7),
        lsn: Lsn(lsn),
        commit: Lsn(5),
        prev_crc: 0xaabb_ccdd,
        records: records.len() as u16,
        flags: FLAG_FLUSHED_BEFORE,
    };
    finish_frame(&mut buf, &builder.starts, header);
    let header = FrameHeader::decode(&buf).expect("a finished frame has a header");
    (buf, header)
}

#[test]
fn golden() {
    let (bytes, _) = frame(0x1000, &[(3, b"hello".to_vec()), (4, Vec::new())]);
    let crc = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    assert_eq!(hex(&bytes[..8]), "4150463145000000");
    assert_eq!(
        hex(&bytes[12..FRAME_HEADER_BYTES]),
        concat!("07000000", "0010000000000000", "0500000000000000", "ddccbbaa", "0200", "0100")
    );
    assert_eq!(hex(&bytes[40..48]), "1100000003000000");
    assert_eq!(&bytes[52..57], b"hello");
    assert_eq!(hex(&bytes[57..65]), "0c00000004000000");
    // The checksums, computed here the long way.
    let whole: Vec<u8> = [&bytes[..8], &bytes[12..]].concat();
    assert_eq!(crc, crc32c::crc32c(&whole));
    let record: Vec<u8> = [&0x1028_u64.to_le_bytes()[..], &bytes[40..48], b"hello"].concat();
    assert_eq!(bytes[48..52], crc32c::crc32c(&record).to_le_bytes());
}

proptest! {
    #[test]
    fn frames_round_trip(lsn in 0..u64::MAX / 2, records in proptest::collection::vec(any::<(u8, Vec<u8>)>(), 1..20)) {
        let (bytes, header) = frame(lsn, &records);
        prop_assert_eq!(check_frame(&bytes, Lsn(lsn)), Ok(header));
        let decoded: Vec<_> = Records::new(&bytes, header).map(|r| r.expect("a whole record")).collect();
        prop_assert_eq!(decoded.len(), records.len());
        for (record, (kind, payload)) in decoded.iter().zip(&records) {
            prop_assert_eq!(record.kind, *kind);
            prop_assert_eq!(record.payload, payload.as_slice());
            let at = (record.lsn.get() - lsn) as usize;
            let alone = &bytes[at..at + record.len as usize];
            prop_assert!(check_record(alone, record.lsn).is_ok());
            prop_assert!(check_record(alone, Lsn(record.lsn.get() + 1)).is_err());
        }
    }

    #[test]
    fn any_flipped_bit_is_found(payload: Vec<u8>, place: proptest::sample::Index, bit in 0..8_u32) {
        let (mut bytes, header) = frame(64, &[(1, payload)]);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(check_frame(&bytes, Lsn(64)).is_err());
        let record = &bytes[FRAME_HEADER_BYTES..];
        if place >= FRAME_HEADER_BYTES {
            prop_assert!(check_record(record, Lsn(64 + 40)).is_err());
        }
        let _ = Records::new(&bytes, header).count();
    }

    #[test]
    fn garbage_never_panics(bytes: Vec<u8>, lsn: u64) {
        let _ = FrameHeader::decode(&bytes);
        let _ = check_frame(&bytes, Lsn(lsn));
        let _ = check_record(&bytes, Lsn(lsn));
        let header = FrameHeader {
            len: 0, crc: 0, epoch: Epoch(0), lsn: Lsn(0), commit: Lsn(0), prev_crc: 0, records: u16::MAX, flags: 0,
        };
        let _ = Records::new(&bytes, header).count();
    }
}
