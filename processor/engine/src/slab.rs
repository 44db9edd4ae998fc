//! Storage with stable indexes that grows without moving what it holds.

/// Slots a chunk holds. Growing by chunks wastes at most one of them, where doubling wastes half.
const CHUNK: usize = 1024;

/// Values at stable indexes. The lowest index that was freed last is used first.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if let Some(index) = self.free.pop() {
            if let Some(slot) = self.slot(index) {
                *slot = Some(value);
            }
            return index;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let full = self.chunks.len() - 1;
        let Some(chunk) = self.chunks.last_mut() else { return u32::MAX };
        chunk.push(Some(value));
        // The caller's cap keeps the number of values far below 2³².
        u32::try_from(full * CHUNK + chunk.len() - 1).unwrap_or(u32::MAX)
    }

    /// Takes a value out.
    pub(crate) fn take(&mut self, index: u32) -> Option<T> {
        let value = self.slot(index)?.take()?;
        self.free.push(index);
        self.len -= 1;
        Some(value)
    }

    /// Drops a value where it is.
    pub(crate) fn remove(&mut self, index: u32) {
        if let Some(slot @ Some(_)) = self.slot(index) {
            *slot = None;
            self.free.push(index);
            self.len -= 1;
        }
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slot(index)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.chunks.iter().flatten()).filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    /// Free indexes in the order they will be used in, the last one first.
    pub(crate) fn free(&self) -> &[u32] {
        &self.free
    }

    /// Puts a value at an index that is free; room is made for it.
    pub(crate) fn place(&mut self, index: u32, value: T) {
        self.make_room(index);
        if let Some(slot) = self.slot(index)
            && slot.replace(value).is_none()
        {
            self.len += 1;
        }
    }

    /// Sets the free indexes; those that hold a value are left out. Room is made for them, so that the slab is as
    /// long as the one they come from.
    pub(crate) fn set_free(&mut self, free: &[u32]) {
        self.free.clear();
        for &index in free {
            self.make_room(index);
            if self.slot(index).is_some_and(|slot| slot.is_none()) {
                self.free.push(index);
            }
        }
    }

    fn make_room(&mut self, index: u32) {
        while self.slot(index).is_none() {
            if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                self.chunks.push(Vec::with_capacity(CHUNK));
            }
            if let Some(chunk) = self.chunks.last_mut() {
                chunk.push(None);
            }
        }
    }

    fn slot(&mut self, index: u32) -> Option<&mut Option<T>> {
        let index = index as usize;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_put_together_again_hands_out_the_same_indexes() {
        let mut slab = Slab::default();
        let indexes: Vec<u32> = (0..4).map(|value| slab.insert(value)).collect();
        for index in [3, 1, 2] {
            slab.remove(indexes[index]);
        }
        let mut again = Slab::default();
        again.place(indexes[0], 0);
        again.set_free(slab.free());
        assert_eq!((again.free(), again.len()), (slab.free(), slab.len()));
        for value in 0..5 {
            assert_eq!(again.insert(value), slab.insert(value));
        }
    }
}
