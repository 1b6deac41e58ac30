//! The report as people and as programs see it.

use super::*;
use crate::commands::bench::{
    floor::{Batched, Singles},
    metrics::Shape,
};

fn settings() -> Settings {
    Settings {
        servers: vec!["http://127.0.0.1:8080".to_owned()],
        transport: Transport::Grpc,
        connections: 8,
        users: 200,
        terminals: 2,
        outstanding: 1,
        rate: None,
        body_size: 100,
        hot_user: false,
        warmup_seconds: 2.0,
        duration_seconds: 10.0,
        seed: 1,
    }
}

fn results() -> Results {
    let mut results = Results {
        ack: Latencies::new(),
        delivery: Latencies::new(),
        messages: 5_000,
        window: Duration::from_secs(10),
        client_cores: 0.25,
    };
    for number in 1..=1_000 {
        results.ack.record(Duration::from_micros(2 * number));
        results.delivery.record(Duration::from_micros(4 * number));
    }
    results
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

fn floor() -> Figures {
    let singles = |rate, commit| Singles { rate, commit: Some(Duration::from_micros(commit)) };
    Figures {
        before: singles(900.0, 490),
        after: singles(1_100.0, 510),
        batched: Batched { shape: Shape { lanes: 1, size: 29 }, rate: 5_000.0 },
    }
}

#[test]
fn people_see_tables() {
    let report = Report::new(settings(), &results(), counts(), &[], Some(floor()));
    insta::assert_snapshot!(report);
}

#[test]
fn programs_see_milliseconds_and_rates() {
    let report = Report::new(settings(), &results(), counts(), &[], Some(floor()));
    insta::assert_json_snapshot!(report);
}

#[test]
fn without_a_floor_nothing_is_said_of_it() {
    let report = Report::new(settings(), &results(), Counts::default(), &[], None);
    let json = serde_json::to_value(&report).expect("it is plain data");
    assert!(json.get("floor").is_none());
    assert!(!report.to_string().contains("PostgreSQL"));
}

#[test]
fn entries_that_came_twice_are_a_violation_too() {
    let counts = Counts { repeated: 3, ..Counts::default() };
    let report = Report::new(settings(), &results(), counts, &[], None);
    assert_eq!(report.violation_count, 1);
    assert_eq!(report.violations, ["3 entries came a second time"]);
}
