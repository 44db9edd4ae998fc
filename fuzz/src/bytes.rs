//! The fuzzer's bytes as a sequence of choices and messages.

use crate::STEPS_NS;

/// What is left of an input. Past its end everything is zero or empty, so that every input means
/// something.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// All of an input.
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// Two bytes, the greater first.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// A message behind its length in two bytes; what is there of it.
    pub fn message(&mut self) -> &'a [u8] {
        let length = usize::from(self.u16()).min(self.0.len());
        let (message, rest) = self.0.split_at(length);
        self.0 = rest;
        message
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((array, rest)) = self.0.split_first_chunk() else {
            self.0 = &[];
            return [0; N];
        };
        self.0 = rest;
        *array
    }
}

/// What the byte before a message says of its packet.
#[derive(Clone, Copy)]
pub struct Control(pub u8);

impl Control {
    /// Sent by the responder.
    pub fn is_answer(self) -> bool {
        self.0 & 1 != 0
    }

    /// Captured in part.
    pub fn is_cut(self) -> bool {
        self.0 & 2 != 0
    }

    /// The engine's state goes through a snapshot after the packet.
    pub fn ends_batch(self) -> bool {
        self.0 & 4 != 0
    }

    /// Time since the packet before, ns.
    pub fn step_ns(self) -> i64 {
        STEPS_NS[usize::from(self.0 >> 5)]
    }
}
