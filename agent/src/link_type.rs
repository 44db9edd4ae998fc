//! Link types by libpcap's own numbers (DLT), which differ from those in files (LINKTYPE) where
//! operating systems had given one number to several things.

use pcap::Linktype;

/// LINKTYPE and DLT of the types that differ on Linux (pcap-common.c of libpcap).
const DIFFERENT: [(u16, i32); 5] = [(100, 11), (101, 12), (102, 15), (103, 16), (106, 19)];

/// libpcap's number of a link type.
pub(crate) fn to_libpcap(link_type: u16) -> Linktype {
    let different = DIFFERENT.iter().find(|(of_file, _)| *of_file == link_type);
    Linktype(different.map_or(i32::from(link_type), |(_, of_libpcap)| *of_libpcap))
}

/// The link type of a number of libpcap's; 65,535, which is none, if it has no other.
pub(crate) fn from_libpcap(Linktype(number): Linktype) -> u16 {
    let different = DIFFERENT.iter().find(|(_, of_libpcap)| *of_libpcap == number);
    different.map_or_else(|| u16::try_from(number).unwrap_or(u16::MAX), |(of_file, _)| *of_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_ip_differs_and_ethernet_does_not() {
        assert_eq!((to_libpcap(101), from_libpcap(Linktype(12))), (Linktype(12), 101));
        assert_eq!((to_libpcap(1), from_libpcap(Linktype(1))), (Linktype(1), 1));
        assert_eq!(from_libpcap(Linktype(-1)), u16::MAX);
    }
}
