//! The scenarios of bindings/conformance, through what every language's library rests on. Runs on the
//! store that `KAFFIC_TEST_URL` names, or in a directory.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "conformance/script.rs"]
mod script;
#[path = "conformance/world.rs"]
mod world;

use kaffic_bindings::process::runtime;

#[test]
fn scenarios() {
    let only = std::env::var("KAFFIC_SCENARIO").unwrap_or_default();
    let scenarios = script::all().into_iter().filter(|scenario| scenario.name.contains(&only));
    let mut ran = 0;
    for scenario in scenarios {
        let run = async {
            let mut world = world::World::new(&scenario.name).await;
            for step in &scenario.steps {
                world.take(step).await.unwrap_or_else(|wrong| {
                    panic!("{}.txt line {}: {wrong}\n  {}", scenario.name, step.line, step.text)
                });
            }
        };
        runtime().unwrap().block_on(run);
        ran += 1;
    }
    assert!(ran > 0, "no scenario is called {only}");
    println!("{ran} scenarios passed");
}
