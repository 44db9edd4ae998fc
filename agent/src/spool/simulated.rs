//! A disk that fails in every way a disk can, as its seed says.

use super::Disk;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

/// Draws from a seed.
#[derive(Debug, Clone)]
pub struct Random(weir_tests::random::Random);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(weir_tests::random::Random::new(seed))
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.0.below(u64::try_from(limit).unwrap())).unwrap()
    }

    pub fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }
}

/// The disk; clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct SimulatedDisk(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    files: BTreeMap<u64, SimulatedFile>,
    /// Removed, but a power failure may bring them back.
    removed: BTreeMap<u64, SimulatedFile>,
    random: Random,
    free_bytes: usize,
    /// One operation in so many fails; none if 0.
    failing_one_in: usize,
}

#[derive(Debug, Clone, Default)]
struct SimulatedFile {
    bytes: Vec<u8>,
    synced_bytes: usize,
}

impl SimulatedDisk {
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            files: BTreeMap::new(),
            removed: BTreeMap::new(),
            random: Random::new(seed),
            free_bytes: usize::MAX,
            failing_one_in: 0,
        })))
    }

    /// From now on one operation in so many fails; none if 0.
    pub fn fail_one_in(&self, count: usize) {
        self.0.borrow_mut().failing_one_in = count;
    }

    /// Leaves so much room from now on.
    pub fn set_free_bytes(&self, bytes: usize) {
        self.0.borrow_mut().free_bytes = bytes;
    }

    /// What was not synced is kept in part, lost, or garbage; what was removed may be back.
    pub fn power_failure(&self) {
        let state = &mut *self.0.borrow_mut();
        let random = &mut state.random;
        for (name, file) in std::mem::take(&mut state.removed) {
            if random.one_in(4) {
                state.files.entry(name).or_insert(file);
            }
        }
        for file in state.files.values_mut() {
            let synced = file.synced_bytes.min(file.bytes.len());
            let kept = synced + random.below(file.bytes.len() - synced + 1);
            file.bytes.truncate(kept);
            let whole = synced + random.below(kept - synced + 1);
            if random.one_in(2) {
                file.bytes[whole..].fill(0); // the length reached the disk, the bytes did not
            }
        }
    }

    /// Flips a bit somewhere; false if there is none.
    pub fn flip_bit(&self) -> bool {
        let state = &mut *self.0.borrow_mut();
        let count = state.files.len();
        let Some(file) = state.files.values_mut().nth(state.random.below(count.max(1))) else { return false };
        if file.bytes.is_empty() {
            return false;
        }
        let (at, bit) = (state.random.below(file.bytes.len()), state.random.below(8));
        file.bytes[at] ^= 1 << bit;
        true
    }

    pub fn bytes(&self) -> usize {
        self.0.borrow().files.values().map(|file| file.bytes.len()).sum()
    }
}

impl State {
    fn may_fail(&mut self) -> io::Result<()> {
        match self.failing_one_in {
            count if count > 0 && self.random.one_in(count) => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }

    fn file(&mut self, name: u64) -> io::Result<&mut SimulatedFile> {
        self.files.get_mut(&name).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Disk for SimulatedDisk {
    fn segments(&mut self) -> io::Result<Vec<(u64, u64)>> {
        let state = self.0.borrow();
        Ok(state.files.iter().map(|(name, file)| (*name, u64::try_from(file.bytes.len()).unwrap())).collect())
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        let created = state.may_fail();
        if created.is_ok() || state.random.one_in(2) {
            state.files.insert(segment, SimulatedFile::default());
        }
        created
    }

    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        let mut done = state.may_fail();
        if bytes.len() > state.free_bytes {
            done = Err(io::ErrorKind::StorageFull.into());
        }
        let written = if done.is_ok() { bytes.len() } else { state.random.below(bytes.len() + 1) };
        let written = written.min(state.free_bytes);
        state.free_bytes -= written;
        state.file(segment)?.bytes.extend_from_slice(&bytes[..written]);
        done
    }

    fn read(&mut self, segment: u64, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.may_fail()?;
        let offset = usize::try_from(offset).unwrap();
        let found = state.file(segment)?.bytes.get(offset..offset + bytes.len());
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn truncate(&mut self, segment: u64, size_bytes: u64) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.may_fail()?;
        let file = state.file(segment)?;
        file.bytes.truncate(usize::try_from(size_bytes).unwrap());
        file.synced_bytes = file.synced_bytes.min(file.bytes.len());
        Ok(())
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.may_fail()?;
        let file = state.file(segment)?;
        file.synced_bytes = file.bytes.len();
        Ok(())
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.may_fail()?;
        let file = state.files.remove(&segment).ok_or(io::ErrorKind::NotFound)?;
        state.removed.insert(segment, file);
        Ok(())
    }
}
