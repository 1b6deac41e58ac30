//! The report as people and as programs see it.

use super::*;
use crate::commands::bench::{
    baseline::{Batched, Singles},
    metrics::Shape,
};

fn settings() -> Settings {
    Settings {
        servers: vec!["http://127.0.0.1:8080".to_owned()],
        transport: Transport::Grpc,
        connections: 8,
        users: 200,
        terminals: 2,
        groups: None,
        outstanding: 1,
        rate: None,
        body_size: 100,
        hot_user: false,
        signals: None,
        away: None,
        warmup_seconds: 2.0,
        duration_seconds: 10.0,
        seed: 1,
    }
}

/// Half a second of a core for imd, a quarter each for PostgreSQL and the load generator.
fn usage() -> Usage {
    Usage { server: 0.5, postgres: Some(0.25), generator: 0.25 }
}

fn measured(messages: u64) -> Measured {
    let mut measured = Measured::new();
    measured.messages = messages;
    for number in 1..=1_000 {
        measured.ack.record(Duration::from_micros(2 * number));
        measured.delivery.record(Duration::from_micros(4 * number));
    }
    measured
}

fn results() -> Results {
    Results {
        all: measured(5_000),
        to_users: measured(5_000),
        to_groups: Measured::new(),
        window: Duration::from_secs(10),
    }
}

/// A load with groups of 100.
fn results_with_groups() -> (Settings, Results) {
    let groups = GroupSettings { count: 3, size: 100, share_percent: 20 };
    let settings = Settings { groups: Some(groups), ..settings() };
    let to_users = measured(4_000);
    (settings, Results { to_users, to_groups: measured(1_000), ..results() })
}

fn counts() -> Counts {
    Counts {
        sent: 6_000,
        deliveries: 23_998,
        retries: 2,
        errors: [("overloaded".to_owned(), 1_500)].into(),
        unfinished: 1,
        ..Counts::default()
    }
}

fn baseline() -> Figures {
    let singles = |rate, commit| Singles { rate, commit: Some(Duration::from_micros(commit)) };
    Figures {
        singles: Some((singles(900.0, 490), singles(1_100.0, 510))),
        batched: Batched { shape: Shape { lanes: 1, size: 29 }, rate: 5_000.0, references: 0.0 },
    }
}

#[test]
fn people_see_tables() {
    let report = Report::new(settings(), &results(), counts(), usage(), &[], Some(baseline()));
    insta::assert_snapshot!(report);
}

#[test]
fn programs_see_milliseconds_and_rates() {
    let report = Report::new(settings(), &results(), counts(), usage(), &[], Some(baseline()));
    insta::assert_json_snapshot!(report);
}

#[test]
fn without_a_baseline_nothing_is_said_of_it() {
    let report = Report::new(settings(), &results(), Counts::default(), usage(), &[], None);
    let json = serde_json::to_value(&report).expect("it is plain data");
    assert!(json.get("baseline").is_none());
    assert!(!report.to_string().contains("PostgreSQL alone"));
}

#[test]
fn entries_that_came_twice_are_a_violation_too() {
    let counts = Counts { repeated: 3, ..Counts::default() };
    let report = Report::new(settings(), &results(), counts, usage(), &[], None);
    assert_eq!(report.violation_count, 1);
    assert_eq!(report.violations, ["3 entries came a second time"]);
}

#[test]
fn messages_to_groups_are_told_apart_and_count_for_every_member() {
    let (settings, results) = results_with_groups();
    let report = Report::new(settings, &results, counts(), usage(), &[], None);
    insta::assert_snapshot!(report);
    let json = serde_json::to_value(&report).expect("it is plain data");
    // Two terminals of two users, or of a hundred members.
    assert_eq!(json["deliveries_per_second"], 2.0 * (2.0 * 400.0 + 100.0 * 100.0));
    assert_eq!(json["to_groups"]["messages"], 1_000);
}

#[test]
fn what_runs_elsewhere_is_not_measured() {
    let usage = Usage { postgres: None, ..usage() };
    let report = Report::new(settings(), &results(), counts(), usage, &[], None);
    assert!(report.to_string().contains("not local"));
    let json = serde_json::to_value(&report).expect("it is plain data");
    assert!(json["cpu"]["postgresql"].is_null());
}
