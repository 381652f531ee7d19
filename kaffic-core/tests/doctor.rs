//! An examination says whether a store can be used, and what is wrong with one that can't.

mod support;

use kaffic_core::{CheckResult, DoctorReport};
use support::lab::{Fault, Lab, Op};
use support::stores;

fn failed(report: &DoctorReport) -> Vec<(&'static str, &str)> {
    let failed = report.checks.iter().filter(|check| check.result == CheckResult::Failed);
    failed.map(|check| (check.name, check.detail.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_store_passes_and_is_left_as_it_was() {
    for store in stores() {
        let client = store.connect().await;
        let report = client.examine().await.expect("an examination");
        assert_eq!(failed(&report), []);
        assert!(report.is_usable() && !report.put_large.is_zero());
        assert!(client.topics().list().await.expect("lists").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_store_is_said() {
    // What goes wrong, the check that has to notice, and a word of what it says.
    type Case = (&'static str, fn(&Lab), &'static str, &'static str);
    let cases: [Case; 5] = [
        ("nothing", |_| {}, "", ""),
        (
            "conditions are ignored",
            |lab| lab.store.always(Fault::IgnoreCondition, |request| request.op == Op::Put),
            "conditional put",
            "ignored",
        ),
        (
            "puts are refused",
            |lab| lab.store.always(Fault::Deny, |request| request.op == Op::Put),
            "conditional put",
            "kaffic needs put",
        ),
        (
            "lists are refused",
            |lab| lab.store.always(Fault::Deny, |request| request.op == Op::List),
            "list",
            "kaffic needs list",
        ),
        (
            "deletes are refused",
            |lab| lab.store.always(Fault::Deny, |request| request.op == Op::Delete),
            "delete",
            "kaffic needs delete",
        ),
    ];
    for (what, damage, check, word) in cases {
        let lab = Lab::new();
        damage(&lab);
        let report = lab.client().await.examine().await.expect("an examination");
        let failed = failed(&report);
        assert_eq!(report.is_usable(), check.is_empty(), "{what}: {failed:?}");
        if !check.is_empty() {
            let told = failed.iter().any(|(name, detail)| *name == check && detail.contains(word));
            assert!(told, "{what}: {failed:?}");
        } else {
            assert!(lab.store.keys("").is_empty(), "{:?}", lab.store.keys(""));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_race_with_several_winners_and_a_wrong_clock_are_noticed() {
    let lab = Lab::new();
    // Every thirtieth put is not conditional: too rare for the first check.
    let mut puts = 0;
    lab.store.rule(move |request| {
        puts += u32::from(request.op == Op::Put);
        if request.op == Op::Put && puts % 30 == 0 { Fault::IgnoreCondition } else { Fault::None }
    });
    let report = lab.client().await.examine().await.expect("an examination");
    assert!(failed(&report).iter().any(|(name, _)| *name == "races"), "{report:?}");

    let lab = Lab::new();
    let env = lab.env();
    env.set_offset_ms(2 * 3_600_000);
    let report = lab.client_in(&env).await.examine().await.expect("an examination");
    let [(name, detail)] = failed(&report)[..] else { panic!("{report:?}") };
    assert!(name == "clock" && detail.contains("7200 s"), "{name}: {detail}");
}
