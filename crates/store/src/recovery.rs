//! Reads a journal from its first frame to its last and decides what is torn and what is damaged.
//!
//! Reading changes nothing; [`Found::make_durable`] does, and may be interrupted anywhere: what it writes is what
//! is there already, and zeros over what is cut. A journal may be read while another process writes it, as long as
//! that one frees no segment meanwhile: what is found is then a journal that ended while it was read.

use crate::disk::{Disk, DiskFile};
use crate::format::{
    FORMAT_VERSION, HeaderError, Identity, SEGMENT_HEADER_BYTES, SegmentHeader, offset_of, position_at,
};
use crate::index::{self, Index};
use crate::names::Name;
use crate::report::{Report, SegmentFile, Torn};
use crate::scan::{Frame, Scan};
use crate::table::Segment;
use crate::trouble::Trouble;
use crate::window::{Unreadable, WINDOW_BYTES};
use crate::{Damage, OpenError, Position};
use std::sync::Arc;

/// Takes frames in their order, and may refuse one with a sentence for the operator.
pub type OnFrame<'a> = dyn FnMut(Position, &[u8]) -> Result<(), String> + 'a;

/// Hears how many bytes of how many are read.
pub type OnProgress<'a> = dyn FnMut(u64, u64) + 'a;

/// How closely a journal is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// In a journal of more bytes than this, segments that have an index are known by that: their frames are checked
    /// when somebody reads them. Damage ends the reading.
    TrustsIndexesAbove(u64),
    /// Every byte is read. Damage ends the reading.
    ReadsAll,
    /// Every byte is read. Damage is reported, and reading goes on at the next whole frame.
    PassesDamage,
}

/// A journal as it is on the disk.
#[derive(Debug)]
pub(crate) struct Found<D: Disk> {
    pub(crate) disk: Arc<D>,
    /// Nothing if there is no segment.
    pub(crate) identity: Option<Identity>,
    /// All but the last are sealed.
    pub(crate) segments: Vec<Arc<Segment<D::File>>>,
    pub(crate) names: Vec<Name>,
    /// Behind the last whole frame.
    pub(crate) end: Position,
    /// How far the frames say that the journal was durable. What is above it was never, as far as is known.
    pub(crate) durable: Position,
    /// The offset in the last segment behind everything that looks like a frame.
    torn_end: u64,
    pub(crate) report: Report,
}

/// A segment file before its frames are read.
struct Candidate<F> {
    number: u64,
    name: String,
    bytes: u64,
    file: Arc<F>,
    /// The first bytes of the file, a whole header or less.
    head: Vec<u8>,
    /// What the header says, or what is wrong with it.
    header: Result<SegmentHeader, &'static str>,
}

impl<F> Candidate<F> {
    /// What this segment says of where the one before it ends.
    fn limit_behind(&self, before: &SegmentHeader) -> Limit {
        match self.header {
            Ok(header) if before.number + 1 == self.number && before.start <= header.start => {
                Limit::Next(header.start)
            }
            _ => Limit::Unknown,
        }
    }
}

/// Reads all segments, or their indexes, and gives every whole frame to `on_frame`. A frame that is refused is damage.
pub(crate) fn read<D: Disk>(
    disk: &Arc<D>,
    care: Care,
    on_frame: &mut OnFrame<'_>,
    on_progress: &mut OnProgress<'_>,
) -> Result<Found<D>, OpenError> {
    let names = list(disk.as_ref())?;
    let mut candidates = Vec::new();
    for name in &names {
        if let Name::Segment(number) = name {
            candidates.push(examine(disk.as_ref(), *number)?);
        }
    }
    refuse_strangers(&mut candidates);
    let identity = candidates.iter().find_map(|candidate| Some(candidate.header.as_ref().ok()?.identity));
    let bytes_all = candidates.iter().map(|candidate| candidate.bytes).sum();
    let found = Found {
        disk: disk.clone(),
        identity,
        segments: Vec::new(),
        names,
        end: Position::FIRST,
        durable: Position::FIRST,
        torn_end: 0,
        report: Report::default(),
    };
    let mut reading = Reading { found, care, on_frame, on_progress, bytes_done: 0, bytes_all };
    reading.segments(&candidates)?;
    Ok(reading.found)
}

fn list<D: Disk>(disk: &D) -> Result<Vec<Name>, OpenError> {
    let failed = |source| Trouble::new("list", disk.path(""), source);
    let mut names: Vec<Name> =
        disk.list().map_err(failed)?.iter().filter_map(|name| Name::parse(name)).collect();
    names.sort_unstable();
    Ok(names)
}

fn examine<D: Disk>(disk: &D, number: u64) -> Result<Candidate<D::File>, OpenError> {
    let name = Name::Segment(number).text();
    let failed = |operation| {
        let file = disk.path(&name);
        move |source| Trouble::new(operation, file, source)
    };
    let file = disk.open(&name).map_err(failed("open"))?;
    let bytes = file.bytes().map_err(failed("open"))?;
    let mut head = vec![0; SEGMENT_HEADER_BYTES as usize];
    let read = file.read_at(&mut head, 0).map_err(failed("read"))?;
    head.truncate(read);
    let header = match SegmentHeader::decode(&head) {
        Ok(header) if header.number == number && header.start > Position::NOWHERE => Ok(header),
        Ok(_) => Err("it is another segment than its name says"),
        Err(HeaderError::Magic) => Err("it does not begin like a segment"),
        Err(HeaderError::Checksum) => Err("the segment's header is broken"),
        Err(HeaderError::Version(found)) => {
            return Err(OpenError::Version { file: disk.path(&name), found, known: FORMAT_VERSION });
        }
    };
    Ok(Candidate { number, name, bytes, file: Arc::new(file), head, header })
}

/// A whole header that does not belong to the segments before it counts as a broken one.
fn refuse_strangers<F>(candidates: &mut [Candidate<F>]) {
    let mut last: Option<SegmentHeader> = None;
    for candidate in candidates {
        let Ok(header) = candidate.header else { continue };
        match last {
            Some(last) if last.identity != header.identity => {
                candidate.header = Err("it belongs to another journal");
            }
            Some(last) if last.start > header.start => {
                candidate.header = Err("it begins before the segment in front of it");
            }
            _ => last = Some(header),
        }
    }
}

/// The story of one look at a journal.
struct Reading<'a, 'b, D: Disk> {
    found: Found<D>,
    care: Care,
    on_frame: &'a mut OnFrame<'b>,
    on_progress: &'a mut OnProgress<'b>,
    bytes_done: u64,
    bytes_all: u64,
}

/// Where a segment's frames end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// Where the next segment begins: everything before it had been durable.
    Next(Position),
    /// At the first frame that is not whole: it is the last segment.
    Last,
    /// Nobody knows, because the next segment is missing or its header is broken.
    Unknown,
}

impl Limit {
    fn is_reached_at(self, position: Position) -> bool {
        matches!(self, Self::Next(end) if end <= position)
    }
}

impl<D: Disk> Reading<'_, '_, D> {
    fn segments(&mut self, candidates: &[Candidate<D::File>]) -> Result<(), OpenError> {
        for (index, candidate) in candidates.iter().enumerate() {
            if index > 0 {
                self.check_gap(&candidates[index - 1], candidate)?;
            }
            let header = self.header_of(candidate)?;
            let limit = match candidates.get(index + 1) {
                None => Limit::Last,
                Some(next) => next.limit_behind(&header),
            };
            match self.index_of(candidate, &header, limit) {
                Some(index) => self.indexed(candidate, &header, limit, &index)?,
                None => self.segment(candidate, &header, limit)?,
            }
        }
        self.found.report.files = candidates.iter().map(|candidate| self.file_of(candidate)).collect();
        (self.on_progress)(self.bytes_all, self.bytes_all);
        Ok(())
    }

    fn file_of(&self, candidate: &Candidate<D::File>) -> SegmentFile {
        SegmentFile { file: self.found.disk.path(&candidate.name), bytes: candidate.bytes }
    }

    fn check_gap(
        &mut self,
        before: &Candidate<D::File>,
        candidate: &Candidate<D::File>,
    ) -> Result<(), OpenError> {
        if before.number + 1 == candidate.number {
            return Ok(());
        }
        let file = self.found.disk.path(&Name::Segment(before.number + 1).text());
        let start = candidate.header.as_ref().map_or(0, |header| header.start.get());
        let bytes = start.saturating_sub(self.found.end.get());
        self.damage(Damage { file, offset: 0, bytes, what: "the file is missing".to_owned() })
    }

    /// The header, or with the operator's word the best guess at what it was.
    fn header_of(&mut self, candidate: &Candidate<D::File>) -> Result<SegmentHeader, OpenError> {
        let what = match candidate.header {
            Ok(header) => return Ok(header),
            Err(what) => what.to_owned(),
        };
        let file = self.found.disk.path(&candidate.name);
        self.damage(Damage { file, offset: 0, bytes: 0, what })?;
        self.guess_header(candidate)
    }

    /// The frames tell whether a guess is right. Without any it is an empty segment.
    fn guess_header(&mut self, candidate: &Candidate<D::File>) -> Result<SegmentHeader, OpenError> {
        let number = candidate.number;
        let mut head = candidate.head.clone();
        head.resize(SEGMENT_HEADER_BYTES as usize, 0);
        let said = SegmentHeader::decode_unchecked(&head);
        let identity = *self.found.identity.get_or_insert(said.identity);
        let end = self.found.end;
        for start in [end, said.start, self.first_frame_position(candidate)?] {
            let header = SegmentHeader { identity, number, start };
            if start >= end && start <= POSITION_MAX && self.has_frames(candidate, &header)? {
                return Ok(header);
            }
        }
        Ok(SegmentHeader { identity, number, start: end })
    }

    fn first_frame_position(&self, candidate: &Candidate<D::File>) -> Result<Position, OpenError> {
        let mut position = [0; 8];
        // Unreadable bytes are no better guess than none.
        candidate.file.read_at(&mut position, SEGMENT_HEADER_BYTES + 8).ok();
        Ok(Position::new(u64::from_le_bytes(position)))
    }

    fn has_frames(&self, candidate: &Candidate<D::File>, header: &SegmentHeader) -> Result<bool, OpenError> {
        let failed = |source| Trouble::new("read", self.found.disk.path(&candidate.name), source);
        let mut scan = Scan::new(&*candidate.file, header, Unreadable::IsZero).map_err(failed)?;
        Ok(scan.next_whole(SEGMENT_HEADER_BYTES, candidate.bytes).map_err(failed)?.is_some())
    }

    /// The index of a segment that ends where the next begins, if there is one and it may be trusted.
    fn index_of(
        &self,
        candidate: &Candidate<D::File>,
        header: &SegmentHeader,
        limit: Limit,
    ) -> Option<Index> {
        let Limit::Next(end) = limit else { return None };
        let is_there = self.found.names.binary_search(&Name::Index(candidate.number)).is_ok();
        // One that ends before its frames do is read, so that it is told.
        let is_long_enough = offset_of(end, header.start) <= candidate.bytes;
        let is_trusted = matches!(self.care, Care::TrustsIndexesAbove(bytes) if self.bytes_all > bytes);
        (is_trusted && is_there && is_long_enough)
            .then(|| index::read(self.found.disk.as_ref(), header, end))?
    }

    /// A segment that is known by its index.
    fn indexed(
        &mut self,
        candidate: &Candidate<D::File>,
        header: &SegmentHeader,
        limit: Limit,
        index: &Index,
    ) -> Result<(), OpenError> {
        let mut end = SEGMENT_HEADER_BYTES;
        for (position, body) in index.entries() {
            self.found.report.frames += 1;
            end = offset_of(position, header.start);
            (self.on_frame)(position, body).map_err(|what| {
                let file = self.found.disk.path(&Name::Index(candidate.number).text());
                OpenError::Frame { file, offset: end, what }
            })?;
        }
        if let Limit::Next(next) = limit {
            self.found.report.bytes += next.get() - header.start.get();
        }
        self.finish(candidate, header, limit, end);
        let segment = self.found.segments.last().expect("it was just finished");
        segment.set_index_bytes(index.bytes());
        (self.on_progress)(self.bytes_done, self.bytes_all);
        Ok(())
    }

    fn segment(
        &mut self,
        candidate: &Candidate<D::File>,
        header: &SegmentHeader,
        limit: Limit,
    ) -> Result<(), OpenError> {
        let unreadable = if self.care == Care::PassesDamage { Unreadable::IsZero } else { Unreadable::Fails };
        let path = self.found.disk.path(&candidate.name);
        let failed = |source| Trouble::new("read", path.clone(), source);
        let mut scan = Scan::new(&*candidate.file, header, unreadable).map_err(failed)?;
        // That a segment was begun says that everything before it was durable.
        self.found.durable = header.start;
        self.found.torn_end = 0;
        let mut offset = SEGMENT_HEADER_BYTES;
        while !limit.is_reached_at(scan.position_at(offset)) {
            let whole = scan.frame_at(offset).map_err(failed)?;
            offset = if let Some(frame) = whole {
                self.frame(&frame, &path, offset)?;
                frame.end
            } else if let Some(next) = self.behind_broken(&mut scan, &path, offset, limit)? {
                next
            } else {
                break;
            };
        }
        self.finish(candidate, header, limit, offset);
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, path: &str, offset: u64) -> Result<(), OpenError> {
        self.found.durable = self.found.durable.max(frame.durable);
        self.found.report.bytes += frame.end - offset;
        if offset / PROGRESS_BYTES != frame.end / PROGRESS_BYTES {
            (self.on_progress)(self.bytes_done + frame.end, self.bytes_all);
        }
        if frame.body.is_empty() {
            return Ok(());
        }
        self.found.report.frames += 1;
        let Err(what) = (self.on_frame)(frame.position, frame.body) else { return Ok(()) };
        let (file, bytes) = (path.to_owned(), frame.end - offset);
        if self.care != Care::PassesDamage {
            return Err(OpenError::Frame { file, offset, what });
        }
        self.damage(Damage { file, offset, bytes, what })
    }

    /// There is no whole frame at `offset`: says where to go on, if anywhere.
    fn behind_broken(
        &mut self,
        scan: &mut Scan<'_, D::File>,
        path: &str,
        offset: u64,
        limit: Limit,
    ) -> Result<Option<u64>, OpenError> {
        let failed = |source| Trouble::new("read", path.to_owned(), source);
        let damage = |bytes| Damage {
            file: path.to_owned(),
            offset,
            bytes,
            what: "no whole frame stands where one was made durable".to_owned(),
        };
        if let Limit::Next(end) = limit {
            let end = offset + end.get().saturating_sub(scan.position_at(offset).get());
            let next = scan.next_whole(offset + 1, end).map_err(failed)?;
            self.damage(damage(next.unwrap_or(end) - offset))?;
            return Ok(next);
        }
        let rest = scan.rest(offset).map_err(failed)?;
        if rest.durable > scan.position_at(offset) {
            // A broker that runs may have completed the frame before it wrote what stands behind.
            if scan.is_whole_now(offset).map_err(failed)? {
                return Ok(Some(offset));
            }
            let next = rest.first_whole.unwrap_or(offset);
            self.damage(damage(next - offset))?;
            return Ok(Some(next));
        }
        self.found.torn_end = rest.end;
        if limit == Limit::Last && rest.end > offset {
            let bytes = rest.end - offset;
            self.found.report.torn = Some(Torn { file: path.to_owned(), offset, bytes });
        }
        Ok(None)
    }

    fn finish(&mut self, candidate: &Candidate<D::File>, header: &SegmentHeader, limit: Limit, offset: u64) {
        let end = match limit {
            Limit::Next(end) => end,
            Limit::Last | Limit::Unknown => position_at(offset, header.start),
        };
        let segment = Segment::new(candidate.name.clone(), *header, candidate.bytes, candidate.file.clone());
        // Behind passed damage nothing is written into the same file, nor into one that an older release would read and
        // take new records for damage.
        let is_of_this_version = SegmentHeader::is_of_this_version(&candidate.head);
        if limit != Limit::Last || !self.found.report.damage.is_empty() || !is_of_this_version {
            segment.seal(end);
        }
        self.found.end = end;
        self.found.segments.push(Arc::new(segment));
        self.bytes_done += candidate.bytes;
    }

    fn damage(&mut self, damage: Damage) -> Result<(), OpenError> {
        if self.care != Care::PassesDamage {
            return Err(OpenError::Damaged(damage));
        }
        self.found.report.damage.push(damage);
        Ok(())
    }
}

/// How often progress is told.
const PROGRESS_BYTES: u64 = 1 << 20;

/// No journal comes to this in the lifetime of a disk; a position above it is a broken one.
const POSITION_MAX: Position = Position::new(1 << 62);

impl<D: Disk> Found<D> {
    /// Makes everything up to the end durable, and the rest of interrupted writes unreadable for ever.
    ///
    /// After `kill -9` the last frames may be in the memory of the kernel alone, after a failed sync not even on
    /// their way to the disk. They are written once more, so that the sync is about them. The rest behind the end
    /// is overwritten: the next frame may be shorter, and what stands behind it would then be taken for a frame.
    pub(crate) fn make_durable(&self) -> Result<(), OpenError> {
        let names = |source| Trouble::names(self.disk.path(""), source);
        self.disk.sync_directory().map_err(names)?;
        let Some(last) = self.segments.last() else { return Ok(()) };
        let from = offset_of(self.durable.min(self.end), last.start());
        let end = offset_of(self.end, last.start());
        if from < end || end < self.torn_end {
            let failed = |source| Trouble::new("write to", self.disk.path(&last.name), source);
            write_again(&*last.file, from, end).map_err(failed)?;
            write_zeros(&*last.file, end, self.torn_end).map_err(failed)?;
            last.file.sync_data().map_err(failed)?;
        }
        Ok(())
    }
}

fn write_again<F: DiskFile>(file: &F, from: u64, end: u64) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    let mut at = from;
    while at < end {
        buffer.resize(WINDOW_BYTES.min((end - at) as usize), 0);
        let read = file.read_at(&mut buffer, at)?;
        file.write_at(&buffer[..read], at)?;
        at += read.max(1) as u64;
    }
    Ok(())
}

fn write_zeros<F: DiskFile>(file: &F, from: u64, end: u64) -> std::io::Result<()> {
    let zeros = vec![0; WINDOW_BYTES.min(end.saturating_sub(from) as usize)];
    let mut at = from;
    while at < end {
        let part = zeros.len().min((end - at) as usize);
        file.write_at(&zeros[..part], at)?;
        at += part as u64;
    }
    Ok(())
}
