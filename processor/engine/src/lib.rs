//! Packets in, records out.
