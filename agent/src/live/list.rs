//! The interfaces of this machine, and whether they can be captured on.

use super::handle::Handle;
use super::{ANY, LiveError, LiveOptions};
use pcap::Device;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// An interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// Its name.
    pub name: String,
    /// Whether it was brought up. The interface `any`, which is all of them, always is.
    pub is_up: bool,
    /// Whether it has a carrier: cable, radio or peer.
    pub is_running: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl InterfaceInfo {
    /// Tries to open it for capturing; gives its link type (LINKTYPE_ value).
    ///
    /// # Errors
    /// What capturing on it would say.
    pub fn try_open(&self) -> Result<u16, LiveError> {
        if !self.is_up {
            return Err(LiveError::Down { interface: self.name.clone() });
        }
        let options = LiveOptions { promiscuous: false, ring_bytes: 1 << 20, ..LiveOptions::default() };
        Handle::open(&self.name, &options, Duration::from_millis(100)).map(|handle| handle.link_type())
    }
}

/// The interfaces of this machine: those of its network, and `any`. What else libpcap knows, such as USB buses, is
/// left out.
///
/// # Errors
/// What libpcap says.
pub fn interfaces() -> Result<Vec<InterfaceInfo>, LiveError> {
    let devices = Device::list().map_err(|error| LiveError::on_opening(ANY, &error))?;
    let is_of_network = |name: &str| name == ANY || Path::new("/sys/class/net").join(name).exists();
    let of_network = devices.into_iter().filter(|device| is_of_network(&device.name));
    let info = |device: Device| InterfaceInfo {
        is_up: device.name == ANY || device.flags.is_up(),
        is_running: device.name == ANY || device.flags.is_running(),
        addresses: device.addresses.into_iter().map(|address| address.addr).collect(),
        name: device.name,
    };
    Ok(of_network.map(info).collect())
}
