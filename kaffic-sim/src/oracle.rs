//! What must hold, whatever happens. The oracle hears of every record sent, every outcome, every
//! delivery and every stored or deleted message, and compares.
//!
//! | | |
//! |---|---|
//! | INV-1 | an offset has one record: no two acknowledged there, no two delivered, no mix |
//! | INV-2 | a record has one offset, and is acknowledged once |
//! | INV-3 | a reader gets each record once, at growing offsets |
//! | INV-4 | the records of a writer are acknowledged and delivered in the order sent |
//! | INV-5 | no reader passes an acknowledged record that has not expired by then |
//! | INV-6 | no reader is stuck before an acknowledged record when all is quiet |
//! | INV-7 | a record reported as not written is never delivered |
//! | INV-8 | an acknowledged record is in the store, in a slot that counts |
//! | INV-9 | an append with an expected offset gets just that one, or a failure that names another |
//! | INV-10 | no error but those that the faults explain, and no panic |
//! | INV-11 | nothing sent after its topic was deleted is acknowledged; incarnations don't mix |
//! | INV-12 | when all is quiet a new writer is acknowledged |
//! | INV-13 | a record comes back as it was sent |
//! | INV-14 | a reader that wants to be told is told before it passes an expired acknowledged record |
//! | INV-15 | records appended as one batch are in the log together or not at all |
//! | INV-17 | once an instance of a name has fenced others off, nothing that an older one sends is acknowledged |
//! | INV-18 | a name's last sequence is not below one that was acknowledged; a duplicate is in the log |
//! | INV-16 | no process deletes the last copy of a record, or a segment that an index names, but with the topic |

use crate::payload::Rec;
use kaffic_core::Outcome;
use std::collections::BTreeMap;
use std::fmt;

macro_rules! invariants {
    ($($name:ident $number:literal,)*) => {
        /// The invariants, numbered as in the table of this module.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Invariant { $($name = $number,)* }
    };
}

invariants! {
    OneRecordAnOffset 1,
    OneOffsetARecord 2,
    OnceAndInOrder 3,
    WriterOrder 4,
    NothingSkipped 5,
    NobodyStuck 6,
    NotWrittenIsNotRead 7,
    AcksAreDurable 8,
    ExpectedOffset 9,
    NoStrangeError 10,
    DeletionIsFinal 11,
    Progress 12,
    Contents 13,
    LossIsTold 14,
    BatchesAreWhole 15,
    NothingDropped 16,
    FencesHold 17,
    SequencesAreKept 18,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INV-{} {self:?}", *self as u32)
    }
}

/// What became of a record, as its writer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing was said, or that it is not known.
    Open,
    Acked(i64),
    NotWritten,
}

#[derive(Debug)]
struct Sent {
    at: i64,
    fate: Fate,
    /// The first record and the number of records of the batch it was appended in.
    batch: (u32, u32),
}

#[derive(Debug)]
struct Writer {
    log: usize,
    records: Vec<Sent>,
    newest_ack: Option<(u32, i64)>,
    /// A producer's name, of which several instances send the same records.
    name: bool,
}

/// A reader's way through the log.
#[derive(Debug)]
struct Reader {
    log: usize,
    /// It wants to be told of losses.
    tell: bool,
    told: bool,
    finished: bool,
    position: i64,
    got: BTreeMap<Rec, i64>,
    newest: BTreeMap<u32, u32>,
    passed: Vec<Passed>,
}

/// The reader went from one offset to another.
#[derive(Debug, Clone, Copy)]
struct Passed {
    at: i64,
    from: i64,
    to: i64,
    told: bool,
}

/// One incarnation of the topic.
#[derive(Debug, Default)]
struct Log {
    /// The record at an offset, as first acknowledged or delivered.
    at: BTreeMap<i64, Rec>,
    /// The offset of a record, likewise.
    offset: BTreeMap<Rec, i64>,
    /// When stored records that counted went.
    gone: BTreeMap<(i64, Rec), Option<i64>>,
    /// What an object holds.
    holds: BTreeMap<String, Vec<(i64, Rec)>>,
    /// How many objects hold a record.
    copies: BTreeMap<(i64, Rec), u32>,
    deleted: Option<i64>,
}

/// The judge.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    writers: Vec<Writer>,
    readers: Vec<Reader>,
    logs: [Log; 2],
    violation: Option<(Invariant, String)>,
    deleting: bool,
    anew: bool,
    /// Which instances of a name had fenced others off, by epoch, and when.
    fences: Vec<(u32, i64)>,
    pub(crate) acks: u64,
    pub(crate) deliveries: u64,
    pub(crate) not_written: u64,
    pub(crate) unknown: u64,
}

impl Oracle {
    pub(crate) fn violation(&self) -> Option<&(Invariant, String)> {
        self.violation.as_ref()
    }

    pub(crate) fn violated(&mut self, invariant: Invariant, what: impl Into<String>) {
        self.violation.get_or_insert_with(|| (invariant, what.into()));
    }

    fn check(&mut self, holds: bool, invariant: Invariant, what: impl FnOnce() -> String) {
        if !holds && self.violation.is_none() {
            self.violation = Some((invariant, what()));
        }
    }

    // Writers

    pub(crate) fn new_writer(&mut self, log: usize) -> u32 {
        self.writers.push(Writer { log, records: Vec::new(), newest_ack: None, name: false });
        self.writers.len() as u32 - 1
    }

    /// The records of a producer's name.
    pub(crate) fn new_name(&mut self, log: usize) -> u32 {
        let number = self.new_writer(log);
        self.writers[number as usize].name = true;
        number
    }

    /// A record of a name is about to be sent, perhaps not for the first time.
    pub(crate) fn sending_again(&mut self, now: i64, rec: Rec) {
        let known = self.writers[rec.writer as usize].records.len() as u32;
        if rec.seq >= known {
            self.sending(now, rec.writer, rec.seq + 1 - known, false);
        }
    }

    /// An instance has fenced off all older ones.
    pub(crate) fn fenced(&mut self, epoch: u32, now: i64) {
        self.fences.push((epoch, now));
    }

    /// A record of a name that an instance sent at a time is acknowledged.
    pub(crate) fn acked_by(&mut self, epoch: u32, sent_at: i64, rec: Rec) {
        let fence = self.fences.iter().find(|(newer, at)| *newer > epoch && *at < sent_at).copied();
        self.check(fence.is_none(), Invariant::FencesHold, || {
            format!("{rec}, sent by epoch {epoch} after it was fenced off: {fence:?}")
        });
    }

    /// A record of a name was a duplicate.
    pub(crate) fn duplicate(&mut self, rec: Rec) {
        let log = &self.logs[self.writers[rec.writer as usize].log];
        let stored = log.gone.keys().any(|(_, stored)| *stored == rec);
        self.check(stored, Invariant::SequencesAreKept, || {
            format!("{rec} is said to be a duplicate, and is nowhere")
        });
    }

    /// The first sequence of a name that was never sent.
    pub(crate) fn fresh_sequence(&self, writer: u32) -> u32 {
        self.writers[writer as usize].records.len() as u32
    }

    /// An instance heard what the last sequence is, or was before a newer one fenced it off.
    pub(crate) fn knows_sequence(&mut self, writer: u32, epoch: u32, last: Option<i64>) {
        if self.fences.iter().any(|(newer, _)| *newer > epoch) {
            return;
        }
        let acked = self.writers[writer as usize].newest_ack;
        let known = acked.is_none_or(|(seq, _)| last.is_some_and(|last| last >= i64::from(seq)));
        self.check(known, Invariant::SequencesAreKept, || {
            format!("{last:?} is said to be the last sequence, after {acked:?}")
        });
    }

    /// `count` records are about to be sent, as one batch or each on its own.
    pub(crate) fn sending(&mut self, now: i64, writer: u32, count: u32, batch: bool) -> Vec<Rec> {
        let records = &mut self.writers[writer as usize].records;
        let first = records.len() as u32;
        for seq in first..first + count {
            let batch = if batch { (first, count) } else { (seq, 1) };
            records.push(Sent { at: now, fate: Fate::Open, batch });
        }
        (first..first + count).map(|seq| Rec { writer, seq }).collect()
    }

    fn sent(&mut self, rec: Rec) -> &mut Sent {
        &mut self.writers[rec.writer as usize].records[rec.seq as usize]
    }

    pub(crate) fn acked(&mut self, rec: Rec, offset: i64) {
        use Invariant as I;
        self.acks += 1;
        let number = self.writers[rec.writer as usize].log;
        let log = &self.logs[number];
        let (there, elsewhere) = (log.at.get(&offset).copied(), log.offset.get(&rec).copied());
        let stored = log.gone.contains_key(&(offset, rec));
        let (sent_at, fate) = (self.sent(rec).at, self.sent(rec).fate);
        let deleted = self.logs[number].deleted.is_some_and(|at| sent_at > at);
        self.check(there.is_none_or(|other| other == rec), I::OneRecordAnOffset, || {
            format!("{rec} is acknowledged at {offset}, where {} is", there.unwrap_or(rec))
        });
        let again = self.writers[rec.writer as usize].name && fate == Fate::Acked(offset);
        self.check(fate == Fate::Open || again, I::OneOffsetARecord, || {
            format!("{rec} is acknowledged at {offset}, after {fate:?}")
        });
        self.check(elsewhere.is_none_or(|other| other == offset), I::OneOffsetARecord, || {
            format!("{rec} is acknowledged at {offset}, and was delivered at {elsewhere:?}")
        });
        self.check(stored, I::AcksAreDurable, || {
            format!("{rec} is acknowledged at {offset}, and no slot that counts holds it there")
        });
        self.check(!deleted, I::DeletionIsFinal, || {
            format!("{rec} was sent after its topic was deleted, and is acknowledged at {offset}")
        });
        let newest = self.writers[rec.writer as usize].newest_ack.replace((rec.seq, offset));
        let in_order = newest.is_none_or(|(seq, at)| (seq < rec.seq) == (at < offset));
        self.check(in_order, I::WriterOrder, || {
            format!("{rec} is acknowledged at {offset}, and {newest:?} came before")
        });
        self.sent(rec).fate = Fate::Acked(offset);
        self.logs[number].at.insert(offset, rec);
        self.logs[number].offset.insert(rec, offset);
    }

    pub(crate) fn failed(&mut self, rec: Rec, outcome: Outcome) {
        if outcome == Outcome::Unknown {
            self.unknown += 1;
            return;
        }
        self.not_written += 1;
        let number = self.writers[rec.writer as usize].log;
        let read_at = self.logs[number].offset.get(&rec).copied();
        self.check(read_at.is_none(), Invariant::NotWrittenIsNotRead, || {
            format!("{rec} is reported as not written, and was read at {read_at:?}")
        });
        self.sent(rec).fate = Fate::NotWritten;
    }

    // Readers

    pub(crate) fn new_reader(&mut self, log: usize, tell: bool) -> u32 {
        self.readers.push(Reader {
            log,
            tell,
            // It starts at the earliest record and is owed nothing before that.
            told: true,
            finished: false,
            position: 0,
            got: BTreeMap::new(),
            newest: BTreeMap::new(),
            passed: Vec::new(),
        });
        self.readers.len() as u32 - 1
    }

    pub(crate) fn delivered(&mut self, now: i64, reader: u32, rec: Rec, offset: i64) {
        use Invariant as I;
        self.deliveries += 1;
        let it = &mut self.readers[reader as usize];
        let (before, position) = (it.got.insert(rec, offset), it.position);
        let newest = it.newest.insert(rec.writer, rec.seq);
        let log = &mut self.logs[it.log];
        let there = *log.at.entry(offset).or_insert(rec);
        let elsewhere = *log.offset.entry(rec).or_insert(offset);
        let wrong_log = self.writers.get(rec.writer as usize).is_some_and(|w| w.log != it.log);
        let sent = self.writers.get(rec.writer as usize);
        let sent = sent.and_then(|writer| writer.records.get(rec.seq as usize));
        let (fate, batch) = sent.map_or((None, (rec.seq, 1)), |sent| (Some(sent.fate), sent.batch));
        let at = || format!("reader {reader} gets {rec} at {offset}");
        self.check(fate.is_some(), I::Contents, || format!("{}, never sent", at()));
        self.check(before.is_none(), I::OnceAndInOrder, || format!("{}, again: {before:?}", at()));
        self.check(offset >= position, I::OnceAndInOrder, || {
            format!("{}, after its position was {position}", at())
        });
        self.check(there == rec, I::OneRecordAnOffset, || format!("{}, where {there} is", at()));
        self.check(elsewhere == offset, I::OneOffsetARecord, || {
            format!("{}, and it is at {elsewhere}", at())
        });
        self.check(newest.is_none_or(|newest| newest < rec.seq), I::WriterOrder, || {
            format!("{}, after {newest:?} of the same writer", at())
        });
        self.check(fate != Some(Fate::NotWritten), I::NotWrittenIsNotRead, || {
            format!("{}, reported as not written", at())
        });
        self.check(!wrong_log, I::DeletionIsFinal, || {
            format!("{}, of another incarnation of the topic", at())
        });
        let first = Rec { seq: batch.0, ..rec };
        let whole = offset - i64::from(rec.seq - first.seq);
        let first_at = self.readers[reader as usize].got.get(&first).copied();
        self.check(first_at == Some(whole), I::BatchesAreWhole, || {
            format!("{}, and the first of its batch, {first}, at {first_at:?}", at())
        });
        self.passes(now, reader, offset + 1);
    }

    /// The reader's position is this now.
    pub(crate) fn passes(&mut self, now: i64, reader: u32, to: i64) {
        let it = &mut self.readers[reader as usize];
        if to > it.position {
            it.passed.push(Passed { at: now, from: it.position, to, told: it.told });
            it.position = to;
            it.told = false;
        }
    }

    /// The reader was told that records have expired, and where the log begins now. Says whether
    /// it can go on there and be told again; where the gap is in the middle of the log it can't.
    pub(crate) fn told(&mut self, now: i64, reader: u32, earliest: Option<i64>) -> bool {
        let it = &mut self.readers[reader as usize];
        it.told = true;
        match earliest {
            Some(earliest) if earliest > it.position => self.passes(now, reader, earliest),
            _ => it.tell = false,
        }
        self.readers[reader as usize].tell
    }

    /// The reader will get nothing more, since its topic was deleted.
    pub(crate) fn finished(&mut self, reader: u32) {
        self.readers[reader as usize].finished = true;
    }

    /// Whether the topic that is there now may not be the one that the reader is to read.
    pub(crate) fn may_be_another(&self, reader: u32) -> bool {
        self.current_log() != Some(self.readers[reader as usize].log)
    }

    pub(crate) fn position(&self, reader: u32) -> i64 {
        self.readers[reader as usize].position
    }

    /// Whether every reader of a log that still reads has got this record.
    pub(crate) fn all_have(&self, rec: Rec) -> bool {
        let log = self.writers[rec.writer as usize].log;
        let mut readers = self.readers.iter().filter(|it| it.log == log && !it.finished);
        readers.all(|it| it.got.contains_key(&rec))
    }

    // The store

    fn log_of(key: &str) -> usize {
        let incarnation = key.split('/').nth(2).and_then(|part| part.parse().ok());
        incarnation.unwrap_or(0).min(1)
    }

    /// A slot that counts was stored, or an index that names a segment.
    pub(crate) fn stored(&mut self, key: &str, places: Vec<(i64, Rec)>) {
        let log = &mut self.logs[Self::log_of(key)];
        for place in &places {
            log.gone.entry(*place).or_insert(None);
            *log.copies.entry(*place).or_default() += 1;
        }
        log.holds.insert(key.to_owned(), places);
    }

    /// An object was deleted, by age or by a process. Says whether it was the last copy of any.
    pub(crate) fn gone(&mut self, now: i64, key: &str) -> bool {
        let log = &mut self.logs[Self::log_of(key)];
        let mut last = false;
        for place in log.holds.remove(key).unwrap_or_default() {
            let copies = log.copies.entry(place).or_default();
            *copies = copies.saturating_sub(1);
            if *copies == 0
                && let Some(gone) = log.gone.get_mut(&place)
            {
                gone.get_or_insert(now);
                last = true;
            }
        }
        last
    }

    /// A process deleted an object; `young`: it could not have expired yet.
    pub(crate) fn deleted(&mut self, now: i64, key: &str, young: bool) {
        let number = Self::log_of(key);
        let names_it = key.contains('.') && self.logs[number].holds.contains_key(key);
        let last = self.gone(now, key);
        let with_topic = self.deleting && number == 0;
        self.check(with_topic || !young || !(last || names_it), Invariant::NothingDropped, || {
            format!("{key} was deleted, and records need it")
        });
    }

    // The topic

    /// Somebody begins to delete the topic.
    pub(crate) fn deleting(&mut self) {
        self.deleting = true;
    }

    /// The topic was deleted: the call has returned.
    pub(crate) fn topic_deleted(&mut self, now: i64) {
        self.logs[0].deleted.get_or_insert(now);
    }

    /// A topic of the same name was made after that.
    pub(crate) fn made_anew(&mut self) {
        self.anew = true;
    }

    /// The incarnation that is there for certain.
    pub(crate) fn current_log(&self) -> Option<usize> {
        match (self.deleting, self.anew) {
            (false, _) => Some(0),
            (true, true) => Some(1),
            (true, false) => None,
        }
    }

    pub(crate) fn is_acked(&self, rec: Rec) -> bool {
        let records = &self.writers[rec.writer as usize].records;
        records.get(rec.seq as usize).is_some_and(|sent| matches!(sent.fate, Fate::Acked(_)))
    }

    // The end

    /// What must hold when all is quiet and has been for long enough.
    pub(crate) fn conclude(&mut self) {
        let mut found = None;
        for (number, reader) in self.readers.iter().enumerate() {
            let log = &self.logs[reader.log];
            for (writer, facts) in self.writers.iter().enumerate() {
                for (seq, sent) in facts.records.iter().enumerate() {
                    let rec = Rec { writer: writer as u32, seq: seq as u32 };
                    let Fate::Acked(offset) = sent.fate else { continue };
                    if facts.log != reader.log || reader.got.contains_key(&rec) {
                        continue;
                    }
                    let gone = log.gone.get(&(offset, rec)).copied().flatten();
                    let final_log = self.current_log() == Some(reader.log);
                    let missed = reader.missed(offset, gone, final_log);
                    if let Some((invariant, how)) = missed {
                        let what = format!("reader {number} {how} {rec}, acknowledged at {offset}");
                        found = found.or(Some((invariant, what)));
                    }
                }
            }
        }
        if let Some((invariant, what)) = found {
            self.violated(invariant, what);
        }
    }
}

impl Reader {
    /// What is wrong with not having got a record that was acknowledged, if anything.
    /// `wait`: it should have got to the end by now.
    fn missed(&self, offset: i64, gone: Option<i64>, wait: bool) -> Option<(Invariant, String)> {
        let at = |ms: i64| ms - crate::world::EPOCH_MS;
        let passed = self.passed.iter().find(|passed| (passed.from..passed.to).contains(&offset));
        match (passed, gone) {
            (None, None) if wait && !self.finished => {
                Some((Invariant::NobodyStuck, format!("is stuck at {} before", self.position)))
            }
            (None, _) => None,
            (Some(passed), gone) if gone.is_none_or(|gone| gone > passed.at) => {
                let when = at(passed.at);
                let gone =
                    gone.map_or("is there".to_owned(), |ms| format!("went at {} ms", at(ms)));
                Some((Invariant::NothingSkipped, format!("passed, at {when} ms (it {gone}),")))
            }
            (Some(passed), _) if self.tell && !passed.told => {
                Some((Invariant::LossIsTold, format!("passed untold, at {} ms,", at(passed.at))))
            }
            (Some(_), _) => None,
        }
    }
}
