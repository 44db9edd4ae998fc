//! Messages that lie, loop or overflow.

use proptest::prelude::*;
use weir_contract::record;

use super::{RESPONSE, answer, decode, decode_to, message, name, question, rr};

#[test]
fn counts_that_lie_give_what_was_readable() {
    let mut lying = answer(1, &[10, 0, 0, 1]);
    lying[7] = 200;
    let (dns, weirds) = decode(&lying);
    assert_eq!((dns.answer_count, dns.answer_data.len(), dns.truncated), (200, 1, true));
    assert_eq!(weirds, ["dns Truncated: ends within a name"]);
}

#[test]
fn a_message_cut_anywhere_keeps_whole_records() {
    let whole = message(
        RESPONSE,
        [
            &[question("example.com", 15)],
            &[rr(b"\xc0\x0c", 15, b"\x00\x0a\x04mail\xc0\x0c"), rr(b"\xc0\x0c", 16, b"\x03one\x03two")],
            &[rr(b"\xc0\x0c", 2, b"\x02ns\xc0\x0c")],
            &[rr(b"", 41, b"")],
        ],
    );
    for length in 12..whole.len() {
        let (dns, weirds) = decode(&whole[..length]);
        assert!(dns.truncated, "{length} bytes");
        assert_eq!(weirds.len(), 1, "{length} bytes: {weirds:?}");
    }
    let first_answer = 12 + 17 + 12 + 9;
    assert_eq!(decode(&whole[..first_answer]).0.answer_data, ["10 mail.example.com"]);
    assert_eq!(decode(&whole[..first_answer - 1]).0.answer_data, ["\\# 9 000a046d61696cc0"]);
    assert!(decode_to(53, &whole[..11]).of::<record::Dns>().is_empty(), "the header is read whole or not at all");
}

#[test]
fn data_that_contradict_their_type_are_kept_as_they_are() {
    let (dns, weirds) = decode(&answer(1, &[10, 0, 0, 1, 99]));
    assert_eq!((dns.answer_data[0].as_str(), dns.truncated), ("\\# 5 0a00000163", false));
    assert_eq!(weirds, ["dns TrailingBytes: bytes behind the data of their type"]);
    let (dns, weirds) = decode(&answer(15, &[0]));
    assert_eq!(dns.answer_data, ["\\# 1 00"]);
    assert_eq!(weirds, ["dns Truncated: ends before its fields do"]);
}

#[test]
fn a_pointer_that_loops_costs_its_own_name_only() {
    let (dns, weirds) = decode(&answer(15, b"\x00\x0a\x04mail\xc0\x2b"));
    assert_eq!((dns.answers[0].target.as_str(), dns.answers[0].priority), ("mail", Some(10)));
    assert_eq!(weirds, ["dns Loop: pointer that does not lead backwards"]);
}

#[test]
fn bytes_behind_the_message_are_weird() {
    let mut longer = answer(1, &[10, 0, 0, 1]);
    longer.extend(b"extra");
    let (dns, weirds) = decode(&longer);
    assert!(!dns.truncated);
    assert_eq!(weirds, ["dns TrailingBytes: bytes behind the message"]);
}

#[test]
fn lists_hold_a_hundred() {
    let questions = vec![question("a.example", 1); 101];
    let answers = vec![rr(b"\xc0\x0c", 1, &[10, 0, 0, 1]); 150];
    let edns = [b"\0\x00\x29\x04\xd0\0\0\x80\0\0\0".to_vec()];
    let (dns, weirds) = decode(&message(RESPONSE, [&questions, &answers, &[], &edns]));
    assert_eq!((dns.questions.len(), dns.answers.len(), dns.answer_ttls.len()), (100, 100, 100));
    assert!(dns.edns_dnssec_ok, "what follows is still read");
    assert_eq!(weirds, ["dns Limit: more than 100 questions", "dns Limit: more than 100 records in a section"]);
}

#[test]
fn texts_hold_four_thousand_characters() {
    let strings = [&[255][..], &[b'x'; 255]].concat().repeat(20);
    let (dns, weirds) = decode(&answer(16, &strings));
    assert_eq!((dns.answers[0].data.len(), dns.answers[0].length_bytes), (4096, 20 * 256));
    assert_eq!(weirds, ["dns Limit: data of a record cut at 4096 characters"]);
    let every_type = (0..=255u8).flat_map(|window| [&[window, 32][..], &[0xff; 32]].concat());
    let bitmap: Vec<u8> = name("next.example").into_iter().chain(every_type).collect();
    assert_eq!(decode(&answer(47, &bitmap)).0.answers[0].data.len(), 4096);
}

proptest! {
    #[test]
    fn no_message_panics(
        flags: u16,
        counts in proptest::array::uniform4(0u16..300),
        body in prop::collection::vec(any::<u8>(), 0..400),
        port in prop::sample::select(vec![53u16, 5353, 5355, 137]),
    ) {
        let mut bytes = vec![0, 7];
        for word in [&[flags & 0x87ff][..], &counts].concat() {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(body);
        decode_to(port, &bytes);
    }

    /// Random data under real types get deeper than random messages do.
    #[test]
    fn no_data_panic(
        rr_type in prop_oneof![0u16..264, Just(32769u16)],
        data in prop::collection::vec(prop_oneof![Just(0u8), 0u8..8, any::<u8>()], 0..80),
    ) {
        let (dns, _) = decode(&answer(rr_type, &data));
        prop_assert_eq!((dns.answers.len(), dns.truncated), (1, false));
    }

    /// Random options likewise.
    #[test]
    fn no_option_panics(code in 0u16..22, data in prop::collection::vec(any::<u8>(), 0..40)) {
        let length = u16::try_from(data.len()).unwrap();
        let option = [&code.to_be_bytes()[..], &length.to_be_bytes(), &data].concat();
        let mut opt = rr(b"\0", 41, &option);
        opt[5..9].fill(0);
        let (dns, _) = decode(&message(RESPONSE, [&[question("a.example", 1)], &[], &[], &[opt]]));
        prop_assert_eq!(dns.edns_options.len(), 1);
    }
}
