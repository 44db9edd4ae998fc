//! What is kept of flows beside their detail, for record types that are opt-in: nothing where they are not
//! selected.

use weir_contract::{RecordType, Selection};

use super::{
    entry::Flow,
    features::{Anatomy, Features, VECTOR_WEIGHT, Vector},
    packet::FlowPacket,
    slice::Slice,
};

/// Slices and features of flows, by the flows' indexes.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    pub(super) slices: Option<ByFlow<Box<Slice>>>,
    pub(super) features: Option<ByFlow<Features>>,
    /// Features that are vectors.
    vectors: usize,
    /// A vector of a flow that is over, for the next flow that needs one.
    spare: Option<Box<Vector>>,
}

impl Extras {
    pub(super) fn new(selection: &Selection) -> Self {
        Self {
            slices: selection.contains(RecordType::Flow).then(ByFlow::default),
            features: selection.contains(RecordType::FlowFeatures).then(ByFlow::default),
            vectors: 0,
            spare: None,
        }
    }

    /// How many flows the memory of it all would hold.
    pub(super) fn weight(&self) -> usize {
        self.slices.as_ref().map_or(0, ByFlow::len) + VECTOR_WEIGHT * self.vectors
    }

    /// The slice that a flow which ends was in, if that is not the first.
    pub(super) fn take_slice(&mut self, index: u32) -> Option<Box<Slice>> {
        self.slices.as_mut()?.take(index)
    }

    /// The features of a flow that ends.
    pub(super) fn take_features(&mut self, index: u32, flow: &Flow) -> Option<Box<Vector>> {
        let features = self.features.as_mut()?.take(index)?;
        self.vectors -= usize::from(matches!(features, Features::Vector(_)));
        Some(features.finish(flow, || self.spare.take().unwrap_or_default()))
    }

    /// Takes the features back that were of a flow that is over.
    pub(super) fn reuse(&mut self, features: Option<Box<Vector>>) {
        self.spare = features.or(self.spare.take());
    }

    /// Takes note of the first packet of a flow, which has none of this yet.
    pub(super) fn begin(&mut self, index: u32, anatomy: Anatomy<'_>) {
        if let Some(features) = &mut self.features {
            features.set(index, Features::new(anatomy));
        }
    }

    /// Takes note of a further packet of a flow.
    pub(super) fn count(
        &mut self,
        (index, flow): (u32, &Flow),
        packet: &FlowPacket,
        anatomy: Anatomy<'_>,
        from_originator: bool,
    ) {
        let Some(features) = &mut self.features else { return };
        if let Some(Features::Vector(vector)) = features.get_mut(index) {
            return vector.count(packet, anatomy, from_originator);
        }
        let mut vector = Features::grow(features.take(index), flow, self.spare.take().unwrap_or_default());
        vector.count(packet, anatomy, from_originator);
        self.set_features(index, Features::Vector(vector));
    }

    /// Sets the features of a flow that has none.
    pub(super) fn set_features(&mut self, index: u32, features: Features) {
        let Some(all) = &mut self.features else { return };
        self.vectors += usize::from(matches!(features, Features::Vector(_)));
        all.set(index, features);
    }
}

/// Values that some flows have, by the flows' indexes.
#[derive(Debug)]
pub(crate) struct ByFlow<T> {
    values: Vec<Option<T>>,
    len: usize,
}

impl<T> Default for ByFlow<T> {
    fn default() -> Self {
        Self { values: Vec::new(), len: 0 }
    }
}

impl<T> ByFlow<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, flow: u32) -> Option<&T> {
        self.values.get(flow as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, flow: u32) -> Option<&mut T> {
        self.values.get_mut(flow as usize)?.as_mut()
    }

    /// Sets a flow's value. Indexes are those of a slab, and so no further apart than there are flows.
    pub(super) fn set(&mut self, flow: u32, value: T) {
        let index = flow as usize;
        if self.values.len() <= index {
            self.values.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.values.get_mut(index)
            && slot.replace(value).is_none()
        {
            self.len += 1;
        }
    }

    pub(super) fn take(&mut self, flow: u32) -> Option<T> {
        let value = self.values.get_mut(flow as usize)?.take();
        self.len -= usize::from(value.is_some());
        value
    }
}
