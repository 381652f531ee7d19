//! Ending a block early: by a seal, a slot with no records that says "last of its block".

use super::{Appender, Resolved};
use crate::env::Rule;
use crate::error::{ErrorKind, Result};
use crate::slot::{SlotHeader, SlotKind};
use crate::store::Put;
use bytes::Bytes;

impl Appender {
    /// Puts a seal at the present slot of a block that is too old to be written to, and goes by
    /// the stamp of what is there then, whoever put it. No record is at stake.
    pub(super) async fn seal(&mut self) -> Result<()> {
        if !self.log.env.keeps(Rule::VerdictsComeFromStamps) {
            let lease = self.known_position()?.open.lease;
            return self.turn_over(!lease.may_have_expired(self.log.env.now_ms())).await;
        }
        let mut tries = 0;
        loop {
            match self.put_seal().await? {
                Resolved::Absent => {
                    tries += 1;
                    self.log.store.back_off(tries).await;
                }
                // Its header says that it is the last, so the next round ends the block.
                Resolved::Ours { .. } => return Ok(()),
                Resolved::Compacted => {
                    self.position = None;
                    return self.find_position().await;
                }
                Resolved::Others(header) => {
                    self.pass(&header);
                    return self.walk().await;
                }
                Resolved::Void { certain } => return self.turn_over(certain).await,
            }
        }
    }

    async fn put_seal(&mut self) -> Result<Resolved> {
        let (header, resolved) = self.put_empty(SlotKind::Seal, true).await?;
        if matches!(resolved, Resolved::Ours { .. })
            && let Some(position) = &mut self.position
        {
            position.step(&header);
        }
        Ok(resolved)
    }

    /// Puts a slot with no records at the present place and reads whose it is then.
    pub(super) async fn put_empty(
        &mut self,
        kind: SlotKind,
        last: bool,
    ) -> Result<(SlotHeader, Resolved)> {
        let position = self.known_position()?;
        let key = self.log.id.slot(position.open.block, position.slot);
        let limit = position.open.lease.staging_limit();
        let mut header = self.header(kind, last)?;
        let bytes = Bytes::copy_from_slice(&header.encode(&[]));
        let put = self.log.store.create(&key, bytes.into(), limit).await?;
        if let Put::Unclear(error) = &put {
            tracing::debug!(%error, "an unclear put is decided by reading");
        }
        let resolved = self.resolve(&header).await?;
        Ok((header, resolved))
    }

    /// Ends the block that this writer wrote to, so that nobody has to wait for its lease to run
    /// out. Where others have written since, the block is theirs to end.
    /// Tries as long as the storage is out of reach; the caller bounds the time.
    pub(crate) async fn close(&mut self) -> Result<()> {
        let mut tries = 0;
        loop {
            match self.try_close().await {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    tracing::debug!(%error, "ending the block is tried again");
                }
                done => return done,
            }
            tries += 1;
            self.log.store.back_off(tries).await;
        }
    }

    async fn try_close(&mut self) -> Result<()> {
        let Some(position) = &self.position else { return Ok(()) };
        if self.wrote_in != Some(position.open.block) || self.stopped.is_some() {
            return Ok(());
        }
        let mut tries = 0;
        while !self.known_position()?.ended {
            match self.put_seal().await? {
                Resolved::Absent => {
                    tries += 1;
                    self.log.store.back_off(tries).await;
                }
                Resolved::Ours { .. } => {}
                Resolved::Others(_) | Resolved::Compacted | Resolved::Void { .. } => return Ok(()),
            }
        }
        self.conclude(true, false).await.map(|_| ())
    }

    /// Ends the log for ever: its newest block's end says so, and nothing is appended after it.
    pub(crate) async fn close_for_ever(&mut self) -> Result<()> {
        self.closing = true;
        loop {
            self.find_position().await?;
            if !self.known_position()?.ended {
                self.seal().await?;
                continue;
            }
            let end = self.conclude(true, true).await?;
            if end.closed {
                return Ok(());
            }
            let block = self.known_position()?.open.block;
            self.enter_after(block, &end).await?;
        }
    }
}
