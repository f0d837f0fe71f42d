//! The program and the libraries that the process runs: how a stack is walked through their functions, and where the
//! functions' names stand.

use std::collections::HashMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, MayAllocateDuringUnwind, Module, UnwindRegsNative, Unwinder,
    UnwinderNative,
};
use object::read::elf::ElfFile64;
use object::{
    Endianness, Object, ObjectSection, ObjectSegment, ObjectSymbol, ObjectSymbolTable, ReadCache, ReadRef,
    SymbolIndex, SymbolKind,
};

use super::names;
use super::watch::{Look, Registers};

/// The program's own file, also when another one lies at its path by now.
const OWN_FILE: &str = "/proc/self/exe";

/// Bytes of a section that all mappings of a file share.
type Bytes = Arc<[u8]>;

pub(super) struct Images {
    all: Vec<Image>,
    unwinder: UnwinderNative<Bytes, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
}

/// A mapping that is executed.
struct Image {
    range: Range<u64>,
    /// What is added to the file's addresses.
    bias: u64,
    name: String,
    source: Source,
    starts: Option<Starts>,
}

#[derive(Clone)]
enum Source {
    File(PathBuf),
    /// What the kernel gives to each process.
    Memory(Bytes),
}

/// A line of `/proc/self/maps`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapping<'a> {
    pub(super) range: Range<u64>,
    pub(super) offset: u64,
    pub(super) inode: u64,
    pub(super) path: &'a str,
}

impl<'a> Mapping<'a> {
    /// `None` where nothing is executed.
    pub(super) fn executable(line: &'a str) -> Option<Self> {
        let (range, rest) = line.split_once(' ')?;
        let (rights, rest) = rest.split_once(' ')?;
        let (offset, rest) = rest.split_once(' ')?;
        let (_device, rest) = rest.split_once(' ')?;
        let (inode, path) = rest.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        rights.contains('x').then_some(Self {
            range: hex(start)?..hex(end)?,
            offset: hex(offset)?,
            inode: inode.parse().ok()?,
            path: path.trim(),
        })
    }

    /// `None` where its file is no more what it was, or there is none.
    fn source(&self, own_path: &Path) -> Option<Source> {
        if self.path == "[vdso]" {
            let bytes = usize::try_from(self.range.end - self.range.start).ok()?;
            let mut image = vec![0; bytes];
            File::open("/proc/self/mem").ok()?.read_exact_at(&mut image, self.range.start).ok()?;
            return Some(Source::Memory(image.into()));
        }
        let path = Path::new(self.path);
        if path == own_path {
            return Some(Source::File(OWN_FILE.into()));
        }
        let is_same = path.is_absolute() && fs::metadata(path).ok()?.ino() == self.inode;
        is_same.then(|| Source::File(path.to_owned()))
    }
}

/// What is needed of a file to walk through its functions.
struct Layout {
    /// Of those that are executed: place in the file, length there, and address. Others may share a page with them.
    segments: Vec<(u64, u64, u64)>,
    text: Option<Range<u64>>,
    got: Option<Range<u64>>,
    eh_frame: Option<(Range<u64>, Bytes)>,
    eh_frame_hdr: Option<(Range<u64>, Bytes)>,
}

impl Layout {
    fn of(source: &Source) -> Option<Self> {
        match source {
            Source::File(path) => Self::read(&ReadCache::new(File::open(path).ok()?)),
            Source::Memory(bytes) => Self::read(&**bytes),
        }
    }

    fn read<'d, R: ReadRef<'d>>(data: R) -> Option<Self> {
        let elf = ElfFile64::<Endianness, R>::parse(data).ok()?;
        let executed = elf.segments().filter(|segment| segment.permissions().executable());
        let segments = executed.map(|segment| {
            let (offset, bytes) = segment.file_range();
            (offset, bytes, segment.address())
        });
        let range = |name| {
            let section = elf.section_by_name(name)?;
            Some(section.address()..section.address() + section.size())
        };
        let with_bytes = |name| {
            let data = elf.section_by_name(name)?.data().ok()?;
            Some((range(name)?, Bytes::from(data)))
        };
        Some(Self {
            segments: segments.collect(),
            text: range(".text"),
            got: range(".got"),
            eh_frame: with_bytes(".eh_frame"),
            eh_frame_hdr: with_bytes(".eh_frame_hdr"),
        })
    }

    /// What is added to the file's addresses where this piece of it is mapped.
    fn bias(&self, mapping: &Mapping<'_>) -> Option<u64> {
        let is_there = |&&(offset, bytes, _): &&(u64, u64, u64)| {
            // A mapping begins at a page's border, maybe before the segment.
            let end = mapping.offset + (mapping.range.end - mapping.range.start);
            offset < end && mapping.offset < offset + bytes
        };
        let (offset, _, address) = self.segments.iter().find(is_there)?;
        let begins_at = address.wrapping_sub(*offset).wrapping_add(mapping.offset);
        Some(mapping.range.start.wrapping_sub(begins_at))
    }

    fn sections(&self) -> ExplicitModuleSectionInfo<Bytes> {
        let (eh_frame_svma, eh_frame) = self.eh_frame.clone().unzip();
        let (eh_frame_hdr_svma, eh_frame_hdr) = self.eh_frame_hdr.clone().unzip();
        ExplicitModuleSectionInfo {
            text_svma: self.text.clone(),
            got_svma: self.got.clone(),
            eh_frame_svma,
            eh_frame,
            eh_frame_hdr_svma,
            eh_frame_hdr,
            ..ExplicitModuleSectionInfo::default()
        }
    }
}

impl Images {
    /// Those that are mapped now. A library that comes later is not known.
    pub(super) fn of_this_process() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let own_path = fs::read_link(OWN_FILE).unwrap_or_default();
        let mut images = Self { all: Vec::new(), unwinder: UnwinderNative::new(), cache: CacheNative::new() };
        let mut layouts: HashMap<&str, Option<(Source, Layout)>> = HashMap::new();
        for mapping in maps.lines().filter_map(Mapping::executable) {
            let read = || {
                let source = mapping.source(&own_path)?;
                Layout::of(&source).map(|layout| (source, layout))
            };
            if let Some((source, layout)) = layouts.entry(mapping.path).or_insert_with(read) {
                images.add(&mapping, source.clone(), layout);
            }
        }
        images
    }

    fn add(&mut self, mapping: &Mapping<'_>, source: Source, layout: &Layout) {
        let Some(bias) = layout.bias(mapping) else { return };
        let name = names::plain(mapping.path.rsplit('/').next().unwrap_or(mapping.path));
        let range = mapping.range.clone();
        self.unwinder.add_module(Module::new(name.clone(), range.clone(), bias, layout.sections()));
        let starts = layout.eh_frame_hdr.clone().map(|(range, table)| Starts { address: range.start, table });
        self.all.push(Image { range, bias, name, source, starts });
    }

    fn at(&self, address: u64) -> Option<&Image> {
        self.all.iter().find(|image| image.range.contains(&address))
    }

    /// Addresses from the innermost frame on, and whether the outermost one was reached.
    pub(super) fn walk(&mut self, look: &Look<'_>, frames_max: usize) -> (Vec<u64>, bool) {
        let Look { registers, stack } = look;
        let mut word = |address: u64| {
            let at = usize::try_from(address.wrapping_sub(registers.stack)).map_err(|_| ())?;
            stack
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .map(|bytes| u64::from_ne_bytes(*bytes))
                .ok_or(())
        };
        let begin = begin(registers, &self.unwinder);
        let mut found = Vec::new();
        let mut steps = self.unwinder.iter_frames(registers.instruction, begin, &mut self.cache, &mut word);
        let is_end = loop {
            match steps.next() {
                Ok(Some(frame)) if found.len() < frames_max => found.push(frame.address_for_lookup()),
                Ok(Some(_)) | Err(_) => break false,
                Ok(None) => break true,
            }
        };
        // Outside of what is known, a step is a guess: what follows is worth nothing.
        let known = found.iter().take_while(|address| self.at(**address).is_some()).count();
        let is_whole = is_end && known == found.len();
        found.truncate(known.max(1));
        (found, is_whole)
    }

    /// Names of the functions at these addresses. One that has none is told by its place in its file.
    pub(super) fn names(&self, addresses: impl Iterator<Item = u64>) -> HashMap<u64, String> {
        let mut by_image: HashMap<usize, Vec<u64>> = HashMap::new();
        for address in addresses {
            if let Some(at) = self.all.iter().position(|image| image.range.contains(&address)) {
                by_image.entry(at).or_default().push(address);
            }
        }
        let mut names = HashMap::new();
        for (at, mut addresses) in by_image {
            addresses.sort_unstable();
            addresses.dedup();
            self.all[at].names(&addresses, &mut names);
        }
        names
    }
}

#[cfg(target_arch = "x86_64")]
fn begin(registers: &Registers, _: &UnwinderNative<Bytes, MayAllocateDuringUnwind>) -> UnwindRegsNative {
    UnwindRegsNative::new(registers.instruction, registers.stack, registers.frame)
}

/// Return addresses may be signed: the bits above those of any address are the signature.
#[cfg(target_arch = "aarch64")]
fn begin(
    registers: &Registers,
    unwinder: &UnwinderNative<Bytes, MayAllocateDuringUnwind>,
) -> UnwindRegsNative {
    let highest = unwinder.max_known_code_address().max(1);
    let mask = framehop::aarch64::PtrAuthMask::from_max_known_address(highest);
    UnwindRegsNative::new_with_ptr_auth_mask(mask, registers.link, registers.stack, registers.frame)
}

impl Image {
    fn names(&self, addresses: &[u64], names: &mut HashMap<u64, String>) {
        let known = match &self.source {
            Source::File(path) => File::open(path)
                .map(|file| self.symbols(&ReadCache::new(file), addresses))
                .unwrap_or_default(),
            Source::Memory(bytes) => self.symbols(&**bytes, addresses),
        };
        // All places in a function have one name.
        let place = |address: u64| {
            let place = address.wrapping_sub(self.bias);
            let start = self.starts.as_ref().and_then(|starts| starts.before(place));
            format!("{}+{:#x}", self.name, start.unwrap_or(place))
        };
        let mut known: HashMap<u64, String> = known.into_iter().collect();
        for address in addresses {
            names.insert(*address, known.remove(address).unwrap_or_else(|| place(*address)));
        }
    }

    fn symbols<'d, R: ReadRef<'d>>(&self, data: R, addresses: &[u64]) -> Vec<(u64, String)> {
        let Ok(elf) = ElfFile64::<Endianness, R>::parse(data) else { return Vec::new() };
        // The dynamic one has only what others may call.
        let tables = [elf.symbol_table(), elf.dynamic_symbol_table()].into_iter().flatten();
        let all = tables.map(|table| (Functions::of(table.symbols()), table));
        let Some((functions, table)) = all.into_iter().find(|(functions, _)| !functions.0.is_empty()) else {
            return Vec::new();
        };
        let name = |address: u64| {
            let index = functions.at(address.wrapping_sub(self.bias))?;
            let symbol = table.symbol_by_index(index).ok()?;
            Some((address, names::readable(symbol.name().ok()?)))
        };
        addresses.iter().copied().filter_map(name).collect()
    }
}

/// Where functions begin, named or not: the table of `.eh_frame_hdr`, which is sorted.
///
/// ```text
///  1  version, 1
///  3  how what follows is written: this one is read if they are 1b 03 3b, as all linkers make it
///  4  where .eh_frame is
///  4  entries of the table
///  8  each: a function's beginning relative to this section, and where its unwinding is told
/// ```
pub(super) struct Starts {
    /// Of the section.
    pub(super) address: u64,
    pub(super) table: Bytes,
}

impl Starts {
    pub(super) fn before(&self, address: u64) -> Option<u64> {
        let (head, rest) = self.table.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (entries, _) = rest.as_chunks::<8>();
        let count = usize::try_from(u32::from_ne_bytes(*count)).ok()?;
        let entries = entries.get(..count)?;
        let start = |entry: &[u8; 8]| {
            let begin = i32::from_ne_bytes([entry[0], entry[1], entry[2], entry[3]]);
            self.address.wrapping_add_signed(i64::from(begin))
        };
        let after = entries.partition_point(|entry| start(entry) <= address);
        (head[..4] == [1, 0x1b, 0x03, 0x3b]).then(|| entries.get(after.checked_sub(1)?).map(start))?
    }
}

/// Functions by their addresses.
struct Functions(Vec<(Range<u64>, SymbolIndex)>);

impl Functions {
    fn of<'d>(symbols: impl Iterator<Item: ObjectSymbol<'d>>) -> Self {
        let code = symbols.filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition());
        let mut all: Vec<_> =
            code.map(|symbol| (symbol.address()..symbol.address() + symbol.size(), symbol.index())).collect();
        all.sort_unstable_by_key(|(range, index)| (range.start, range.end, index.0));
        Self(all)
    }

    fn at(&self, address: u64) -> Option<SymbolIndex> {
        let after = self.0.partition_point(|(range, _)| range.start <= address);
        let (range, index) = self.0.get(after.checked_sub(1)?)?;
        // What is written in assembly may have no length: it reaches up to the next.
        (range.contains(&address) || range.is_empty()).then_some(*index)
    }
}
