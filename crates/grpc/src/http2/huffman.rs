//! The Huffman code of header strings (RFC 7541, appendix B), decoding only.
//!
//! The code is canonical: the lengths say it all. Codes of one length are consecutive numbers in
//! the order of their symbols, and shorter codes come before longer ones.

use crate::http2::Fault;

const BITS_MAX: usize = 30;

/// Bits of each symbol's code.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

struct Code {
    /// Symbols by code.
    symbols: [u8; 256],
    /// First code beyond those of a length, from the left of 32 bits.
    ends: [u64; BITS_MAX + 1],
    /// What to take from a code of a length to get its place among the symbols.
    bases: [i64; BITS_MAX + 1],
}

const CODE: Code = code();

const fn code() -> Code {
    let mut it = Code { symbols: [0; 256], ends: [0; BITS_MAX + 1], bases: [0; BITS_MAX + 1] };
    let (mut next, mut place, mut bits) = (0_u64, 0_usize, 1_usize);
    while bits <= BITS_MAX {
        next <<= 1;
        it.bases[bits] = next as i64 - place as i64;
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == bits {
                it.symbols[place] = symbol as u8;
                place += 1;
                next += 1;
            }
            symbol += 1;
        }
        it.ends[bits] = next << (32 - bits);
        bits += 1;
    }
    it
}

/// Appends what `coded` stands for.
pub(crate) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut bytes = coded.iter();
    // The next bits, from the left of 64; behind them ones, which is what padding is made of.
    let (mut window, mut filled) = (u64::MAX, 0_u32);
    loop {
        while filled <= 56 {
            let Some(byte) = bytes.next() else { break };
            let shift = 56 - filled;
            window = (window & !(0xFF << shift)) | (u64::from(*byte) << shift);
            filled += 8;
        }
        if filled < 8 && window == u64::MAX {
            // Nothing, or padding.
            return Ok(());
        }
        let next = window >> 32;
        let Some(bits) = (5..=BITS_MAX).find(|bits| next < CODE.ends[*bits]) else {
            return Err(Fault::COMPRESSION);
        };
        let length = bits as u32;
        if length > filled {
            return Err(Fault::COMPRESSION);
        }
        let place = (window >> (64 - length)) as i64 - CODE.bases[bits];
        out.push(usize::try_from(place).ok().and_then(|place| CODE.symbols.get(place)).copied().unwrap_or(0));
        window = (window << length) | ((1 << length) - 1);
        filled -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(coded: &str) -> Result<String, Fault> {
        let mut out = Vec::new();
        decode(&hex::decode(coded).expect("hex"), &mut out)?;
        Ok(String::from_utf8(out).expect("ascii"))
    }

    /// RFC 7541, appendix C.4 and C.6.
    #[test]
    fn examples_of_the_standard() {
        let cases = [
            ("", ""),
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95ba97d7f", "custom-key"),
            ("25a849e95bb8e8b4bf", "custom-value"),
            ("d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("9d29ad171863c78f0b97c8e9ae82ae43d3", "https://www.example.com"),
            (
                "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ),
        ];
        for (coded, expected) in cases {
            assert_eq!(plain(coded).as_deref(), Ok(expected), "{coded}");
        }
    }

    #[test]
    fn padding_is_ones_and_less_than_a_byte() {
        assert_eq!(plain("1f").as_deref(), Ok("a"));
        assert_eq!(plain("18"), Err(Fault::COMPRESSION), "padded with zeros");
        assert_eq!(plain("1fff"), Err(Fault::COMPRESSION), "padded with a byte");
        assert_eq!(plain("ffffffff"), Err(Fault::COMPRESSION), "the end of a string is not sent");
    }
}
