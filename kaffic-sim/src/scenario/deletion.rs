//! Deletes the topic while it is written to, and makes it anew.

use super::{TOPIC, passing};
use crate::config::R_MS;
use crate::config::after;
use crate::process::{Process, Program};
use crate::trace::Event;
use kaffic_core::{ErrorKind, TopicConfig};

/// Deletes the topic; most times it makes another of the same name then.
pub(crate) fn deleter() -> Program {
    Program::new("deleter", |process| async move {
        if process.world().oracle.current_log() != Some(0) {
            return;
        }
        if !delete(&process).await {
            return;
        }
        process.pause(process.one_of(&[0, 1_000, R_MS])).await;
        if process.below(4) > 0 {
            create(&process).await;
        }
    })
}

async fn delete(process: &Process) -> bool {
    process.world().oracle.deleting();
    loop {
        let Ok(client) = process.connect().await else { return false };
        match client.topics().delete(TOPIC).await {
            Ok(_) => break,
            Err(error) if passing(process, "deleting", &error) => process.pause(500).await,
            Err(_) => return false,
        }
    }
    let mut world = process.world();
    let now = world.now;
    world.log(&Event::Note { what: "the topic is deleted" });
    world.oracle.topic_deleted(now);
    true
}

async fn create(process: &Process) {
    let slots = process.world().setting.slots;
    let config = TopicConfig::new().min_expiry(after(R_MS)).slots_per_block(slots);
    loop {
        let Ok(client) = process.connect().await else { return };
        match client.topics().create(TOPIC, config.clone()).await {
            Ok(_) => break,
            // An unclear try of ours may have made it.
            Err(error) if error.kind() == ErrorKind::TopicExists => break,
            Err(error) if passing(process, "creating anew", &error) => process.pause(500).await,
            Err(_) => return,
        }
    }
    let mut world = process.world();
    world.log(&Event::Note { what: "the topic is made anew" });
    world.oracle.made_anew();
}
