//! A producer with a name: its fence in the log, whether a newer instance has taken over, and the
//! last of the application's sequences that the name has written.
//!
//! Epoch, then fence, then data. Whoever walks over the fence stops. A search of the tail, or an end
//! that says more than was read, may skip a fence, and fences expire; but whoever found such a
//! position finds the newer epoch in the name's chain. So that is looked at once for each position
//! that was not reached by walking.

use super::{Appender, Resolved};
use crate::env::{Rule, timeout};
use crate::error::{Error, ErrorKind, Result};
use crate::log::End;
use crate::names::Claim;
use crate::slot::{SlotHeader, SlotKind};
use std::sync::Arc;
use std::time::Duration;

/// How many headers are read at once on the way back to the last sequence.
const AT_ONCE: u32 = 32;
/// No sequence was ever given.
const NONE: i64 = -1;

/// A name and what is known of it in this log.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) claim: Claim,
    /// Our fence is in the log.
    fenced: bool,
    /// The last sequence that the name has written; `None` where that has to be looked up.
    last: Option<i64>,
}

impl Named {
    pub(super) fn new(claim: Claim) -> Self {
        Self { claim, fenced: false, last: None }
    }
}

impl Appender {
    /// Fences older instances off this log, if that has not been done, and gives the last sequence
    /// that the name has written here, as far as that was looked up.
    pub(crate) async fn prepare(
        &mut self,
        with_sequence: bool,
        deadline: Duration,
    ) -> Result<Option<i64>> {
        self.begin()?;
        let env = Arc::clone(&self.log.env);
        let left = deadline.saturating_sub(env.monotonic());
        match timeout(&*env, left, self.try_prepare(with_sequence)).await {
            Some(Ok(())) => {
                let last = self.named.as_ref().and_then(|named| named.last);
                Ok(last.filter(|last| *last != NONE))
            }
            Some(Err(error)) => Err(error),
            None => Err(self.timed_out()),
        }
    }

    async fn try_prepare(&mut self, with_sequence: bool) -> Result<()> {
        let mut tries = 0;
        loop {
            match self.prepare_step(with_sequence).await {
                Ok(true) => return Ok(()),
                Ok(false) => continue,
                Err(error) if error.kind() == ErrorKind::Unavailable => self.trouble = Some(error),
                Err(error) => return Err(error),
            }
            tries += 1;
            self.log.store.back_off(tries).await;
        }
    }

    async fn prepare_step(&mut self, with_sequence: bool) -> Result<bool> {
        self.check_stopped()?;
        self.find_position().await?;
        if self.known_position()?.ended {
            self.turn_over(true).await?;
            return Ok(false);
        }
        self.is_prepared(with_sequence).await
    }

    /// Whether a batch of ours may be put at the present position, which is not the end of its
    /// block. If not, a step was taken towards that.
    pub(super) async fn is_prepared(&mut self, with_sequence: bool) -> Result<bool> {
        let Some(named) = &self.named else { return Ok(true) };
        if !self.known_position()?.epoch_checked {
            if self.log.env.keeps(Rule::NamesAskForTheEpoch) {
                let checked = named.claim.check(&self.log.store).await;
                if let Err(error) = checked {
                    if error.kind() == ErrorKind::Fenced {
                        self.stopped = Some(error.clone());
                    }
                    return Err(error);
                }
            }
            if let Some(position) = &mut self.position {
                position.epoch_checked = true;
            }
        }
        if !named.fenced {
            self.put_fence().await?;
            return Ok(false);
        }
        if with_sequence && named.last.is_none() {
            self.find_sequence().await?;
        }
        Ok(true)
    }

    /// Puts a fence at the present slot, or moves on from there.
    async fn put_fence(&mut self) -> Result<()> {
        let lease = self.log.lease(&self.known_position()?.open);
        if !lease.is_writable(self.log.env.now_ms()) {
            return self.seal().await;
        }
        match self.put_empty(SlotKind::Fence, false).await? {
            (_, Resolved::Absent) => {
                self.log.store.back_off(1).await;
                Ok(())
            }
            (header, Resolved::Ours { stamp }) => match self.confirm(&header, stamp).await {
                Ok(_) => {
                    if let Some(named) = &mut self.named {
                        named.fenced = true;
                    }
                    Ok(())
                }
                // The block was ended meanwhile: again in the next.
                Err(_) if self.position.is_none() => Ok(()),
                Err(error) => Err(error),
            },
            (_, Resolved::Others(header)) => {
                self.pass(&header);
                self.walk().await
            }
            (_, Resolved::Compacted) => {
                self.position = None;
                Ok(())
            }
            (_, Resolved::Void { certain }) => self.turn_over(certain).await,
        }
    }

    /// Looks for the last sequence: back through the headers of the block, and then in what the end
    /// of the block before says.
    async fn find_sequence(&mut self) -> Result<()> {
        let id = self.identity.producer_id;
        let mut from = self.known_position()?.slot;
        let mut last = self.known_position()?.sequences.last(id);
        while last.is_none() && from > 0 {
            from = from.saturating_sub(AT_ONCE);
            self.fill_checksums(from).await?;
            last = self.known_position()?.sequences.last(id);
        }
        if last.is_none() {
            self.inherit().await?;
            last = self.known_position()?.inherited.as_ref().and_then(|known| known.last(id));
        }
        if let Some(named) = &mut self.named {
            named.last = Some(last.unwrap_or(NONE));
        }
        Ok(())
    }

    /// Whether a sequence was written before, as far as that was looked up.
    pub(super) fn is_repeated(&self, sequence: Option<i64>) -> bool {
        let last = self.named.as_ref().and_then(|named| named.last);
        sequence.zip(last).is_some_and(|(sequence, last)| sequence <= last)
    }

    /// A slot that was read, or put: it may be of the same name.
    pub(super) fn meet(&mut self, header: &SlotHeader) {
        let Some(named) = &mut self.named else { return };
        if header.producer_id != named.claim.producer_id {
            return;
        }
        named.last = named.last.map(|last| last.max(header.app_sequence));
        if header.producer_epoch > named.claim.epoch {
            self.stopped = Some(named.claim.fenced());
        }
    }

    /// The end of a block that we leave: it may say more than we have read.
    pub(super) fn meet_end(&mut self, end: &End) {
        let Some(named) = &mut self.named else { return };
        let last = end.producers.last(named.claim.producer_id).unwrap_or(NONE);
        named.last = named.last.map(|known| known.max(last));
        // Whoever is stopped before the next position is found has to look at that all the same.
        if let Some(position) = &mut self.position {
            position.epoch_checked = false;
        }
    }

    /// What is written between here and a tail that was searched was not read.
    pub(super) fn forget_sequence(&mut self) {
        if let Some(named) = &mut self.named {
            named.last = None;
        }
    }

    /// Before anything is done for the caller: whether this writer may write at all.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.check_stopped()?;
        if !self.identity.is_mine(&*self.log.env) {
            if let Some(named) = &self.named {
                let name = &named.claim.name;
                return Err(Error::new(
                    ErrorKind::Closed,
                    format!("producer {name} belongs to the process that forked; make a new one"),
                ));
            }
            self.identity = super::Identity::new(&*self.log.env);
        }
        (self.in_doubt, self.trouble) = (false, None);
        Ok(())
    }

    pub(super) fn check_stopped(&self) -> Result<()> {
        self.stopped.clone().map_or(Ok(()), Err)
    }
}
