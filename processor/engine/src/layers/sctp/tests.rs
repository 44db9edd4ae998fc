use weir_contract::record::{Connection, Sctp, SctpChunk};

use crate::testing::{self, Records};

/// A packet from port 1000 to 2000 with tag 1 and a checksum that is wrong.
fn frame(chunks: &[u8]) -> Vec<u8> {
    testing::ipv4(132, &[&[3, 0xe8, 7, 0xd0, 0, 0, 0, 1, 0xaa, 0xbb, 0xcc, 0xdd], chunks].concat())
}

fn decode(chunks: &[u8]) -> (Sctp, Records) {
    let records = testing::decode(testing::ETHERNET, &[frame(chunks)]);
    let [sctp] = &records.of::<Sctp>()[..] else { panic!("one packet") };
    (sctp.clone(), records)
}

fn only_chunk(bytes: &[u8]) -> SctpChunk {
    let (sctp, records) = decode(bytes);
    assert_eq!(records.weirds(), Vec::<String>::new());
    let [chunk] = &sctp.chunks[..] else { panic!("one chunk") };
    chunk.clone()
}

#[test]
fn the_common_header_and_the_connection() {
    let (sctp, records) = decode(&[]);
    assert_eq!((sctp.verification_tag, sctp.checksum, sctp.checksum_ok), (1, 0xaabb_ccdd, Some(false)));
    let connection = &records.of::<Connection>()[0];
    let meta = connection.meta.as_ref().unwrap();
    assert_eq!((meta.src_port, meta.dst_port), (1000, 2000));
    assert_eq!((connection.ip_protocol_name.as_str(), connection.orig_payload_bytes), ("sctp", 0));
    assert_eq!(sctp.meta.unwrap().uid, meta.uid);
}

#[test]
fn data_with_padding_and_another_chunk() {
    // TSN 2, stream 3, sequence 4, Diameter, five bytes and three of padding; then an acknowledgement of a cookie.
    let data = [0, 3, 0, 21, 0, 0, 0, 2, 0, 3, 0, 4, 0, 0, 0, 46, 1, 2, 3, 4, 5, 0, 0, 0, 11, 0, 0, 4];
    let (sctp, records) = decode(&data);
    let [data, cookie] = &sctp.chunks[..] else { panic!("two chunks") };
    assert_eq!((data.name.as_str(), data.flags, data.length_bytes), ("data", 3, 21));
    assert_eq!((data.tsn, data.stream_id, data.stream_sequence), (Some(2), Some(3), Some(4)));
    assert_eq!((data.payload_protocol, data.payload_protocol_name.as_str()), (Some(46), "diameter"));
    assert_eq!((data.payload_bytes, sctp.payload_bytes), (Some(5), 5));
    assert_eq!((cookie.name.as_str(), cookie.tsn), ("cookie_ack", None));
    assert!(!sctp.truncated);
    assert_eq!(records.weirds(), Vec::<String>::new());
}

#[test]
fn fragments_of_interleaved_data() {
    // RFC 8260 §2.1: the first fragment names its protocol, others their sequence.
    let first = only_chunk(&[64, 2, 0, 21, 0, 0, 0, 2, 0, 3, 0, 0, 0, 0, 0, 9, 0, 0, 0, 51, 1]);
    assert_eq!((first.stream_sequence, first.payload_protocol, first.payload_bytes), (Some(9), Some(51), Some(1)));
    let second = only_chunk(&[64, 0, 0, 21, 0, 0, 0, 3, 0, 3, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 1]);
    assert_eq!((second.stream_sequence, second.payload_protocol, second.payload_bytes), (Some(9), None, Some(1)));
}

#[test]
fn init_with_parameters() {
    // Tag, window, streams, TSN; then an IPv4 address and the support of forward TSN.
    let fixed = [1, 0, 0, 32, 0, 0, 0, 5, 0, 1, 0, 0, 0, 10, 0, 11, 0, 0, 0, 6];
    let chunk = only_chunk(&[&fixed[..], &[0, 5, 0, 8, 10, 0, 0, 1, 0xc0, 0, 0, 4]].concat());
    assert_eq!((chunk.initiate_tag, chunk.receiver_window_bytes), (Some(5), Some(65536)));
    assert_eq!((chunk.outbound_streams, chunk.inbound_streams, chunk.initial_tsn), (Some(10), Some(11), Some(6)));
    assert_eq!(chunk.parameter_types, [5, 0xc000]);
}

#[test]
fn acknowledgements_shutdowns_and_causes() {
    let sack = only_chunk(&[3, 0, 0, 20, 0, 0, 0, 7, 0, 0, 0, 9, 0, 1, 0, 0, 0, 2, 0, 3]);
    assert_eq!((sack.cumulative_tsn, sack.receiver_window_bytes), (Some(7), Some(9)));
    assert_eq!((sack.gap_blocks, sack.duplicate_tsns), (Some(1), Some(0)));
    assert_eq!(only_chunk(&[7, 0, 0, 8, 0xff, 0, 0, 8]).cumulative_tsn, Some(0xff00_0008));
    // A stream that is not there, then a protocol violation.
    let abort = only_chunk(&[6, 0, 0, 16, 0, 1, 0, 8, 0, 1, 0, 0, 0, 13, 0, 4]);
    assert_eq!((abort.name.as_str(), abort.cause_codes), ("abort", vec![1, 13]));
}

#[test]
fn lengths_that_lie_are_weird() {
    let (sctp, records) = decode(&[11, 0, 0, 4, 11, 0, 0, 3]);
    assert_eq!((sctp.chunks.len(), sctp.truncated), (1, true));
    assert_eq!(records.weirds(), ["sctp BadLength: chunk length is less than its header's"]);
    let (sctp, records) = decode(&[10, 0, 0, 99, 1, 2, 3, 4]);
    assert_eq!((sctp.chunks.len(), sctp.truncated), (1, true));
    assert_eq!(records.weirds(), ["sctp Truncated: ends in a chunk"]);
    let (_, records) = decode(&[6, 0, 0, 8, 0, 1, 0, 3]);
    assert_eq!(records.weirds(), ["sctp BadLength: length of parameter or cause is less than its header's"]);
}

#[test]
fn many_chunks_and_many_parameters_are_bounded() {
    let (sctp, records) = decode(&[11, 0, 0, 4].repeat(200));
    assert_eq!(sctp.chunks.len(), 100);
    assert_eq!(records.weirds(), ["sctp Limit: too many chunks"]);
    let (sctp, records) = decode(&[&[6, 0, 0x03, 0x24][..], &[0, 13, 0, 4].repeat(200)].concat());
    assert_eq!(sctp.chunks[0].cause_codes.len(), 100);
    assert_eq!(records.weirds(), ["sctp Limit: too many parameters or causes"]);
}

#[test]
fn a_packet_cut_anywhere_keeps_the_chunks_that_were_read() {
    let chunks = [&[3, 0, 0, 16, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 0][..], &[11, 0, 0, 4]].concat();
    for (length, records) in testing::decode_cut_everywhere(&frame(&chunks)).iter().enumerate() {
        let packets = records.of::<Sctp>();
        assert_eq!(packets.len(), usize::from(length >= 34 + 12), "{length} bytes");
        for sctp in packets {
            let at_boundary = matches!(length - 34 - 12, 0 | 16);
            assert_eq!((sctp.truncated, sctp.checksum_ok), (!at_boundary, None), "{length} bytes");
            assert_eq!(sctp.chunks.len(), usize::from(length >= 34 + 12 + 4), "{length} bytes");
        }
    }
}
