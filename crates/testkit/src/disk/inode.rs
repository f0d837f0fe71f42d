//! One simulated file: what reads see, what is durable, and the changes between the two.
//!
//! A power cut keeps, for every 4 KiB page on its own, some prefix of the changes that touched it,
//! the next one perhaps torn at a 512 byte sector. The length follows a prefix of its own, but a
//! page never shows bytes from the other side of a truncation: that much the journal of every
//! file system promises.

use std::collections::BTreeMap;

use crate::rng::Rng;

pub(super) const PAGE: usize = 4096;
pub(super) const SECTOR: usize = 512;

/// Where the bytes of a finished write really go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    /// Where they belong.
    Right,
    /// At another position of the same file: the drive was wrong about the address.
    At(u64),
    /// Nowhere: the drive has lied.
    Nowhere,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { at: u64, data: Vec<u8>, landing: Landing },
    SetLen(u64),
}

/// What a power cut did to a file, for the fault log.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct CutReport {
    pub(super) changes: usize,
    pub(super) pages_kept: usize,
    pub(super) pages_lost: usize,
    pub(super) sectors_torn: usize,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Inode {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Change>,
    /// Drives that lie make `cached` and `durable` differ without a pending change.
    pub(super) lied: bool,
    /// Flipped bits that still stand, in each of the two.
    cached_flips: Flips,
    durable_flips: Flips,
}

/// Which bits of which byte.
type Flips = BTreeMap<usize, u8>;

fn forget_flips(flips: &mut Flips, from: usize, to: usize) {
    let mut above = flips.split_off(&from);
    flips.append(&mut above.split_off(&to));
}

fn flip(image: &mut [u8], flips: &mut Flips, at: usize, bit: u8) -> bool {
    let Some(byte) = image.get_mut(at) else { return false };
    let mask = 1 << (bit % 8);
    *byte ^= mask;
    *flips.entry(at).or_default() ^= mask;
    true
}

fn flip_back(image: &mut [u8], flips: &mut Flips) {
    for (at, mask) in std::mem::take(flips) {
        if let Some(byte) = image.get_mut(at) {
            *byte ^= mask;
        }
    }
}

pub(super) fn to_usize(n: u64) -> usize {
    usize::try_from(n).expect("simulated files fit memory")
}

/// Writes `data` into `image`, growing it where needed.
fn put(image: &mut Vec<u8>, at: usize, data: &[u8]) {
    if image.len() < at + data.len() {
        image.resize(at + data.len(), 0);
    }
    if let Some(place) = image.get_mut(at..at + data.len()) {
        place.copy_from_slice(data);
    }
}

impl Inode {
    pub(super) fn write(&mut self, at: u64, data: &[u8], landing: Landing) {
        put(&mut self.cached, to_usize(at), data);
        forget_flips(&mut self.cached_flips, to_usize(at), to_usize(at) + data.len());
        self.pending.push(Change::Write { at, data: data.to_vec(), landing });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.cached.resize(to_usize(len), 0);
        forget_flips(&mut self.cached_flips, to_usize(len), usize::MAX);
        self.pending.push(Change::SetLen(len));
    }

    /// Everything pending becomes durable, as far as the drive is honest.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            self.land(&change);
        }
    }

    fn land(&mut self, change: &Change) {
        match change {
            Change::SetLen(len) => {
                self.durable.resize(to_usize(*len), 0);
                forget_flips(&mut self.durable_flips, to_usize(*len), usize::MAX);
            }
            Change::Write { at, data, landing } => {
                let at = to_usize(*at);
                let grown = self.durable.len().max(at + data.len());
                self.durable.resize(grown, 0);
                let place = match landing {
                    Landing::Right => Some(at),
                    Landing::At(other) => Some(to_usize(*other)),
                    Landing::Nowhere => None,
                };
                if let Some(place) = place {
                    put(&mut self.durable, place, data);
                    forget_flips(&mut self.durable_flips, place, place + data.len());
                }
                self.lied |= *landing != Landing::Right;
            }
        }
    }

    /// A sync that fails: some pages reach the disk, and the rest is forgotten although the page
    /// cache still shows it. The next sync has nothing to do and succeeds.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) -> CutReport {
        let (image, report) = self.survivors(rng);
        self.replace_durable(image);
        self.pending.clear();
        self.lied = true;
        report
    }

    /// The page cache forgets what it need not keep.
    pub(super) fn drop_cache(&mut self) {
        if self.pending.is_empty() && self.lied {
            self.cached.clone_from(&self.durable);
            self.cached_flips.clone_from(&self.durable_flips);
            self.lied = false;
        }
    }

    /// A bit that was overwritten meanwhile is no longer flipped.
    fn replace_durable(&mut self, image: Vec<u8>) {
        let old = std::mem::replace(&mut self.durable, image);
        let now = &self.durable;
        self.durable_flips.retain(|at, _| old.get(*at) == now.get(*at) && *at < now.len());
    }

    /// Flips a stored bit; false if there is no such byte.
    pub(super) fn flip(&mut self, at: u64, bit: u8) -> bool {
        let at = to_usize(at);
        let in_cache = flip(&mut self.cached, &mut self.cached_flips, at, bit);
        flip(&mut self.durable, &mut self.durable_flips, at, bit) || in_cache
    }

    /// Flips back what still stands flipped.
    pub(super) fn heal(&mut self) {
        flip_back(&mut self.cached, &mut self.cached_flips);
        flip_back(&mut self.durable, &mut self.durable_flips);
    }

    pub(super) fn power_cut(&mut self, rng: &mut Rng) -> CutReport {
        let (image, report) = self.survivors(rng);
        self.replace_durable(image);
        self.pending.clear();
        self.cached.clone_from(&self.durable);
        self.cached_flips.clone_from(&self.durable_flips);
        self.lied = false;
        report
    }

    /// An image that a power cut may leave.
    fn survivors(&self, rng: &mut Rng) -> (Vec<u8>, CutReport) {
        let n = self.pending.len();
        let mut report = CutReport { changes: n, ..CutReport::default() };
        // Nothing, everything, a prefix, or each page as it likes: all of them happen.
        let mode = rng.below(8);
        let common = match mode {
            0 | 1 => 0,
            2 => n,
            _ => rng.index(n + 1),
        };
        let len_cut = if mode < 5 { common } else { rng.index(n + 1) };
        let mut image = self.durable.clone();
        let mut len = image.len();
        for change in self.pending.iter().take(len_cut) {
            len = match change {
                Change::SetLen(to) => to_usize(*to),
                Change::Write { at, data, .. } => len.max(to_usize(*at) + data.len()),
            };
        }
        let (low, high) = self.truncations_around(len_cut);
        for (page, touching) in self.touched_pages() {
            let wanted = if mode < 5 { common } else { rng.index(n + 1) };
            let cut = wanted.clamp(low, high);
            let is_torn = mode >= 2 && cut < high && rng.percent(30);
            let content = self.page_at(page, &touching, cut);
            let content = if is_torn { self.tear(page, content, cut, rng, &mut report) } else { content };
            let kept = touching.iter().all(|i| *i < cut);
            report.pages_kept += usize::from(kept);
            report.pages_lost += usize::from(!kept);
            put(&mut image, page * PAGE, &content);
        }
        image.resize(len, 0);
        (image, report)
    }

    /// The changes that a page may show, given how far the length has come: at least everything
    /// up to the last truncation that is in force, nothing of the next one that is not.
    fn truncations_around(&self, len_cut: usize) -> (usize, usize) {
        let is_cut = |c: &Change| matches!(c, Change::SetLen(_));
        let low = self.pending.iter().take(len_cut).rposition(is_cut).map_or(0, |i| i + 1);
        let high =
            self.pending.iter().skip(len_cut).position(is_cut).map_or(self.pending.len(), |i| len_cut + i);
        (low, high)
    }

    fn touched_pages(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut touched: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut longest = self.durable.len();
        for (i, change) in self.pending.iter().enumerate() {
            let (from, to) = match change {
                Change::Write { at, data, .. } => (to_usize(*at), to_usize(*at) + data.len()),
                Change::SetLen(len) => (to_usize(*len), longest),
            };
            longest = longest.max(to);
            if from < to {
                for page in from / PAGE..to.div_ceil(PAGE) {
                    touched.entry(page).or_default().push(i);
                }
            }
        }
        touched
    }

    /// A page after the first `cut` changes.
    fn page_at(&self, page: usize, touching: &[usize], cut: usize) -> [u8; PAGE] {
        let start = page * PAGE;
        let mut content = [0; PAGE];
        let old = self.durable.get(start..self.durable.len().min(start + PAGE)).unwrap_or_default();
        if let Some(place) = content.get_mut(..old.len()) {
            place.copy_from_slice(old);
        }
        for change in touching.iter().filter(|i| **i < cut).filter_map(|i| self.pending.get(*i)) {
            apply_to_page(&mut content, start, change);
        }
        content
    }

    /// Some sectors of the change behind `cut` have arrived as well.
    fn tear(
        &self,
        page: usize,
        content: [u8; PAGE],
        cut: usize,
        rng: &mut Rng,
        report: &mut CutReport,
    ) -> [u8; PAGE] {
        let Some(change) = self.pending.get(cut) else { return content };
        let mut whole = content;
        apply_to_page(&mut whole, page * PAGE, change);
        let mut torn = content;
        for (to, from) in torn.chunks_mut(SECTOR).zip(whole.chunks(SECTOR)) {
            if *to != *from && rng.percent(50) {
                to.copy_from_slice(from);
                report.sectors_torn += 1;
            }
        }
        torn
    }
}

fn apply_to_page(content: &mut [u8; PAGE], start: usize, change: &Change) {
    match change {
        Change::SetLen(len) => {
            let from = to_usize(*len).saturating_sub(start).min(PAGE);
            content.iter_mut().skip(from).for_each(|b| *b = 0);
        }
        Change::Write { landing: Landing::Nowhere, .. } => {}
        Change::Write { at, data, landing } => {
            let at = if let Landing::At(other) = landing { *other } else { *at };
            let at = to_usize(at);
            let (from, to) = (at.max(start), (at + data.len()).min(start + PAGE));
            if from < to
                && let (Some(place), Some(bytes)) =
                    (content.get_mut(from - start..to - start), data.get(from - at..to - at))
            {
                place.copy_from_slice(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synced_bytes_survive_every_cut() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut file = Inode::default();
            file.write(0, &[1; 6000], Landing::Right);
            file.sync();
            file.write(6000, &[2; 6000], Landing::Right);
            file.power_cut(&mut rng);
            assert_eq!(file.cached.get(..6000), Some(&[1; 6000][..]), "seed {seed}");
            assert!(file.cached.iter().skip(6000).all(|b| *b == 2 || *b == 0));
        }
    }

    #[test]
    fn cuts_differ() {
        let outcomes: std::collections::BTreeSet<Vec<u8>> = (0..100)
            .map(|seed| {
                let mut file = Inode::default();
                for i in 0..4_u8 {
                    file.write(u64::from(i) * 3000, &[i + 1; 3000], Landing::Right);
                }
                file.power_cut(&mut Rng::new(seed));
                file.cached
            })
            .collect();
        assert!(outcomes.len() > 20, "{}", outcomes.len());
    }

    #[test]
    fn a_truncation_is_never_seen_in_half() {
        for seed in 0..300 {
            let mut file = Inode::default();
            file.write(0, &[1; 9000], Landing::Right);
            file.sync();
            file.set_len(100);
            file.write(100, &[2; 5000], Landing::Right);
            file.power_cut(&mut Rng::new(seed));
            match file.cached.len() {
                9000 => assert_eq!(file.cached, [1; 9000], "seed {seed}"),
                len => assert!(file.cached.iter().skip(100).all(|b| *b != 1), "seed {seed}, {len} bytes"),
            }
        }
    }

    #[test]
    fn a_failed_sync_forgets_although_the_cache_shows_it() {
        let mut file = Inode::default();
        file.write(0, &[7; 100], Landing::Right);
        let mut rng = Rng::new(0);
        while {
            file.fail_sync(&mut rng);
            file.durable.len() == 100
        } {
            file = Inode::default();
            file.write(0, &[7; 100], Landing::Right);
        }
        file.sync();
        assert_eq!(file.cached, [7; 100]);
        file.drop_cache();
        assert!(file.cached.is_empty());
    }
}
