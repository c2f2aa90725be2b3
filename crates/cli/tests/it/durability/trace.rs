//! What a broker told the kernel, in the order in which it did: strace reads along.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use noctule_codec::{Decoder, Packet, ProtocolVersion};
use noctule_engine::Record;

use super::files::FRAME_HEADER;
use super::strace;

/// A system call, by the lines of the trace on which it began and ended.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) begin: usize,
    pub(super) end: usize,
    /// The file or socket of its first argument.
    pub(super) file: String,
    /// The bytes that went through it.
    pub(super) bytes: Vec<u8>,
}

/// The calls of a broker that has ended, in the order in which they began.
pub(super) struct Trace {
    pub(super) calls: Vec<Call>,
}

/// Records that were written to the journal.
pub(super) struct Written {
    pub(super) record: Record,
    /// The line on which their write had ended.
    pub(super) written: usize,
    /// The line on which a sync had ended that began after that.
    pub(super) synced: Option<usize>,
}

/// A broker that leaves a trace in this folder.
pub(super) fn traced(folder: &Path, arguments: &[&str]) -> Command {
    let calls = "trace=pwrite64,pwritev,fdatasync,fsync,sendto,sendmsg,writev,write,recvfrom,read,readv";
    strace(folder, &["-y", "-xx", "-s", "200000", "-o", FILE, "-e", calls], arguments)
}

const FILE: &str = "trace";

impl Trace {
    /// The trace of a broker that was told to end.
    pub(super) fn of(folder: &Path) -> Self {
        let text = whole(&folder.join(FILE));
        let mut begun: HashMap<&str, (usize, &str)> = HashMap::new();
        let mut calls = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let (thread, rest) = line.split_once(' ').expect("a thread and what it did");
            let rest = rest.trim_start();
            if let Some(head) = rest.strip_suffix(" <unfinished ...>") {
                begun.insert(thread, (number, head));
            } else if let Some(tail) = rest.strip_prefix("<... ") {
                let (begin, head) = begun.remove(thread).expect("a call that has begun");
                let (_, tail) = tail.split_once(" resumed>").expect("its end");
                calls.extend(Call::parse(&format!("{head}{tail}"), begin, number));
            } else {
                calls.extend(Call::parse(rest, number, number));
            }
        }
        calls.sort_by_key(|call| call.begin);
        Self { calls }
    }

    /// Everything that was written to segments of the journal.
    pub(super) fn records(&self) -> Vec<Written> {
        let mut records = Vec::new();
        for write in self.calls.iter().filter(|call| call.is_write_to_a_segment()) {
            let syncs = self.calls.iter().filter(|call| call.name == "fdatasync" && call.file == write.file);
            let synced = syncs.filter(|sync| sync.begin > write.end).map(|sync| sync.end).min();
            let all = records_of(&write.bytes).into_iter();
            records.extend(all.map(|record| Written { record, written: write.end, synced }));
        }
        records
    }

    /// The connections that said something, each with all it said and heard.
    pub(super) fn conversations(&self) -> Vec<Conversation> {
        let mut sockets: Vec<&str> = Vec::new();
        for call in
            self.calls.iter().filter(|call| call.file.starts_with("socket:") && !call.bytes.is_empty())
        {
            if !sockets.contains(&call.file.as_str()) {
                sockets.push(&call.file);
            }
        }
        sockets.into_iter().filter_map(|socket| self.conversation(socket)).collect()
    }

    fn conversation(&self, socket: &str) -> Option<Conversation> {
        let on_it = |names: &'static [&str]| {
            self.calls.iter().filter(move |call| call.file == socket && names.contains(&call.name.as_str()))
        };
        let heard = on_it(&["recvfrom", "read", "readv"]);
        let said = on_it(&["sendto", "sendmsg", "write", "writev"]);
        let heard = packets(heard.map(|call| (call.end, &call.bytes[..])), true);
        let said = packets(said.map(|call| (call.begin, &call.bytes[..])), false);
        (!said.is_empty()).then_some(Conversation { heard, said })
    }
}

/// What a broker heard from a client and said to it: each packet in its bytes, with its line of the trace.
pub(super) struct Conversation {
    pub(super) heard: Vec<(usize, Vec<u8>)>,
    pub(super) said: Vec<(usize, Vec<u8>)>,
}

/// Looks at a packet of a conversation in 5.0.
pub(super) fn look<T>(bytes: &[u8], is_from_client: bool, look: impl FnOnce(&Packet<'_>) -> T) -> T {
    let mut decoder = match is_from_client {
        true => Decoder::server(u32::MAX),
        false => Decoder::client(ProtocolVersion::V5, u32::MAX),
    };
    if is_from_client && bytes[0] >> 4 != 1 {
        decoder = decoder_after_connect();
    }
    let (packet, _) = decoder.decode(bytes).expect("a packet").expect("a whole one");
    look(&packet)
}

fn decoder_after_connect() -> Decoder {
    let mut decoder = Decoder::server(u32::MAX);
    let connect = crate::peer::encoded(&crate::peer::connect("somebody"));
    decoder.decode(&connect).expect("a packet").expect("a whole one");
    decoder
}

impl Call {
    /// Reads `name(fd<file>, …) = result`; nothing if the call failed or is not about a file.
    fn parse(text: &str, begin: usize, end: usize) -> Option<Self> {
        let (name, arguments) = text.split_once('(')?;
        let (arguments, result) = arguments.rsplit_once(" = ")?;
        if result.starts_with(['-', '?']) {
            return None;
        }
        let (_, behind) = arguments.split_once('<')?;
        let (file, rest) = behind.split_once('>')?;
        let file = String::from_utf8_lossy(&unhex(file)).into_owned();
        // Of calls with several buffers all are in the arguments, as texts.
        let texts = rest.split('"').skip(1).step_by(2);
        let mut bytes: Vec<u8> = texts.flat_map(unhex).collect();
        if let Ok(length) = result.trim().parse() {
            bytes.truncate(length);
        }
        Some(Self { name: name.to_owned(), begin, end, file, bytes })
    }

    pub(super) fn is_write_to_a_segment(&self) -> bool {
        self.name.starts_with("pwrite") && self.file.ends_with(".seg")
    }
}

/// What `\x6e\x6f…` stands for.
fn unhex(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

/// The records of whole frames behind each other.
fn records_of(mut frames: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while frames.len() >= FRAME_HEADER {
        let body = u32::from_le_bytes(*frames.first_chunk().expect("a header")) as usize;
        let mut rest = &frames[FRAME_HEADER..FRAME_HEADER + body];
        while !rest.is_empty() {
            let (record, behind) = Record::decode(rest).expect("a record");
            records.push(record);
            rest = behind;
        }
        frames = &frames[FRAME_HEADER + body..];
    }
    records
}

/// Cuts a stream into packets, each with the line on which its last byte came.
fn packets<'a>(
    pieces: impl Iterator<Item = (usize, &'a [u8])>,
    is_from_client: bool,
) -> Vec<(usize, Vec<u8>)> {
    let mut packets = Vec::new();
    let mut unread = Vec::new();
    for (line, piece) in pieces {
        unread.extend_from_slice(piece);
        while let Some(length) = packet_length(&unread, is_from_client) {
            packets.push((line, unread.drain(..length).collect()));
        }
    }
    packets
}

fn packet_length(bytes: &[u8], is_from_client: bool) -> Option<usize> {
    if bytes.len() < 2 {
        return None;
    }
    let decoder = match is_from_client {
        true if bytes[0] >> 4 == 1 => Decoder::server(u32::MAX),
        true => decoder_after_connect(),
        false => Decoder::client(ProtocolVersion::V5, u32::MAX),
    };
    let length = decoder.packet_len(bytes).expect("a packet")?;
    (length <= bytes.len()).then_some(length)
}

/// The trace, once strace has seen the end of the broker.
fn whole(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = fs::read_to_string(path).expect("a trace");
        let calls = text.lines().filter(|line| !line.contains(" +++ exited with "));
        if text.contains(" +++ exited with 0 +++")
            && text.ends_with('\n')
            && text.lines().last().is_some_and(|last| last.contains(" +++ exited with "))
        {
            return calls.map(|line| format!("{line}\n")).collect();
        }
        assert!(Instant::now() < deadline, "the trace does not end");
        thread::yield_now();
    }
}
