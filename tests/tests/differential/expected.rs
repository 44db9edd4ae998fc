//! What tshark saw, as `tests/differential/expect.py` and those beside it wrote it down.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

/// What tshark saw in one capture file.
#[derive(Default)]
pub struct Expected {
    /// Packets it read.
    pub packets: u64,
    /// What it said when it could not read them all.
    pub note: String,
    /// Packets by what they hold: protocols outermost first, and the frames that hold them so.
    pub paths: Vec<(Vec<String>, Vec<u64>)>,
    /// Messages of the datagram protocols.
    pub messages: Vec<Message>,
    /// Packets of QUIC with long headers, names of fields with their protocol.
    pub quic: Vec<Message>,
    /// Hellos and certificates of TLS and DTLS; their protocol is the kind of message.
    pub handshakes: Vec<Said>,
    /// Requests and responses of HTTP.
    pub http: Vec<Said>,
    /// Identification lines and offers of SSH.
    pub ssh: Vec<Said>,
    /// Headers of the first packets: frame, protocol, fields.
    pub headers: Vec<(u64, String, Fields)>,
}

/// Names and values in wire order.
pub type Fields = Vec<(String, String)>;

/// One message of a datagram protocol.
pub struct Message {
    pub frame: u64,
    pub protocol: String,
    pub fields: Fields,
    /// Questions, answers, authorities and additionals of the DNS family.
    pub sections: BTreeMap<&'static str, Vec<Fields>>,
}

impl Message {
    /// Values of the message's field of that name, in their order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, shown)| shown.as_str())
    }
}

/// A message of a stream, and between whom.
pub struct Said {
    /// Address and port.
    pub sender: String,
    /// Address and port.
    pub receiver: String,
    pub message: Message,
}

/// The sections of a DNS message, in their order.
pub const SECTIONS: [&str; 4] = ["q", "an", "ns", "ar"];

impl Expected {
    /// Frames in which tshark found one of `protocols`, and how often; those quoted in ICMP errors left out.
    pub fn occurrences(&self, protocols: &[&str]) -> BTreeMap<u64, usize> {
        let count = |path: &[String]| {
            let quoted = path.iter().position(|name| name == "icmp" || name == "icmpv6");
            let own = quoted.map_or(path, |icmp| &path[..=icmp]);
            own.iter().filter(|name| protocols.contains(&name.as_str())).count()
        };
        let counted = self.paths.iter().map(|(path, frames)| (count(path), frames)).filter(|(count, _)| *count > 0);
        counted.flat_map(|(count, frames)| frames.iter().map(move |&frame| (frame, count))).collect()
    }

    /// What tshark made of a frame: its protocols, outermost first.
    pub fn path_of(&self, frame: u64) -> String {
        let path = self.paths.iter().find(|(_, frames)| frames.binary_search(&frame).is_ok());
        path.map_or_else(|| "no such frame".to_owned(), |(path, _)| path.join(":"))
    }
}

/// Reads the files of expectations in `folder`.
pub fn load(folder: &Path) -> BTreeMap<String, Expected> {
    let mut files = BTreeMap::new();
    load_layers(&folder.join("layers.tsv.gz"), &mut files);
    for_each_json(&folder.join("messages.jsonl.gz"), |file, line| {
        files.get_mut(file).expect("every file is in layers.tsv.gz").messages.push(message(line));
    });
    for_each_json(&folder.join("quic.jsonl.gz"), |file, line| {
        let packet = Message {
            frame: number(&line["n"]),
            protocol: "quic".to_owned(),
            fields: fields(&line["f"]),
            sections: BTreeMap::new(),
        };
        files.get_mut(file).expect("every file is in layers.tsv.gz").quic.push(packet);
    });
    load_said(&folder.join("tls.jsonl.gz"), &mut files, |file| &mut file.handshakes);
    load_said(&folder.join("http.jsonl.gz"), &mut files, |file| &mut file.http);
    load_said(&folder.join("ssh.jsonl.gz"), &mut files, |file| &mut file.ssh);
    for_each_json(&folder.join("headers.jsonl.gz"), |file, line| {
        let headers = &mut files.get_mut(file).expect("every file is in layers.tsv.gz").headers;
        for header in line["h"].as_array().expect("headers are a list") {
            headers.push((number(&line["n"]), string(&header[0]), fields(&header[1])));
        }
    });
    files
}

fn load_layers(path: &Path, files: &mut BTreeMap<String, Expected>) {
    let mut current = "";
    let text = lines(path).collect::<Vec<_>>();
    for line in &text {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["F", file, packets, note] => {
                let packets = packets.parse().expect("a number of packets");
                files.insert(file.to_owned(), Expected { packets, note: note.to_owned(), ..Expected::default() });
                current = file;
            }
            [path, frames] => {
                let path = path.split(':').map(str::to_owned).collect();
                files.get_mut(current).expect("a file first").paths.push((path, frame_list(frames)));
            }
            _ => panic!("{}: not understood: {line}", path.display()),
        }
    }
}

fn load_said(path: &Path, files: &mut BTreeMap<String, Expected>, list: fn(&mut Expected) -> &mut Vec<Said>) {
    for_each_json(path, |file, line| {
        let message = Message {
            frame: number(&line["n"]),
            protocol: line["k"].as_str().unwrap_or_default().to_owned(),
            fields: fields(&line["f"]),
            sections: BTreeMap::new(),
        };
        let said = Said { sender: string(&line["s"]), receiver: string(&line["d"]), message };
        list(files.get_mut(file).expect("every file is in layers.tsv.gz")).push(said);
    });
}

/// `1-3,7` → 1, 2, 3, 7.
fn frame_list(ranges: &str) -> Vec<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a frame number");
    let frames = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        number(first)..=number(last)
    };
    ranges.split(',').flat_map(frames).collect()
}

fn message(line: &Value) -> Message {
    let entries = |section| line[section].as_array().map(|list| list.iter().map(fields).collect());
    Message {
        frame: number(&line["n"]),
        protocol: string(&line["p"]),
        fields: fields(&line["f"]),
        sections: SECTIONS.iter().filter_map(|&section| Some((section, entries(section)?))).collect(),
    }
}

fn fields(value: &Value) -> Fields {
    value.as_array().expect("fields are a list").iter().map(|pair| (string(&pair[0]), string(&pair[1]))).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn string(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn for_each_json(path: &Path, mut each: impl FnMut(&str, &Value)) {
    let mut file = String::new();
    for line in lines(path) {
        let line: Value = serde_json::from_str(&line).expect("a JSON line");
        match line["file"].as_str() {
            Some(name) => name.clone_into(&mut file),
            None => each(&file, &line),
        }
    }
}

fn lines(path: &Path) -> impl Iterator<Item = String> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    BufReader::new(GzDecoder::new(file)).lines().map(|line| line.expect("gzipped text"))
}
