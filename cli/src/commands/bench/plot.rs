//! The latencies by percentile, as a picture.

use std::io::Write as _;

use plotters::prelude::*;

use super::measure::{Latencies, Measured};
use crate::{destination::Destination, error::Error};

const SIZE: (u32, u32) = (900, 500);

/// Points of a curve, per step of the axis from one number of nines to the next.
const POINTS: u32 = 100;

/// Draws an SVG. To the right each step is a tenth of the messages before it: 90 %, 99 %, 99.9 % …
pub(super) fn draw(mut file: Destination, results: &Measured) -> Result<(), Error> {
    let picture = picture(results).map_err(|error| Error::Bench(format!("--plot: {error}")))?;
    file.write_all(picture.as_bytes()).map_err(|cause| file.failure(&cause))?;
    file.finish()
}

fn picture(results: &Measured) -> Result<String, Box<dyn std::error::Error + '_>> {
    let steps = steps(results.delivery.count());
    let highest = results.delivery.max().max(results.ack.max()).as_secs_f64() * 1_000.0;
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(20)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..f64::from(steps), 0.0..(1.1 * highest).max(1.0))?;
        chart
            .configure_mesh()
            .x_labels(steps as usize + 1)
            .x_label_formatter(&|nines| percentile(*nines))
            .x_desc("share of messages")
            .y_desc("latency in ms")
            .draw()?;
        for (name, latencies, color) in
            [("acknowledged", &results.ack, BLUE), ("on every terminal", &results.delivery, RED)]
        {
            chart
                .draw_series(LineSeries::new(curve(latencies, steps), &color))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .border_style(BLACK)
            .background_style(WHITE)
            .draw()?;
        area.present()?;
    }
    Ok(picture)
}

/// How many nines so many messages can tell: with 10,000 of them 99.99 % is the slowest one.
fn steps(messages: u64) -> u32 {
    messages.max(10).ilog10()
}

fn curve(latencies: &Latencies, steps: u32) -> impl Iterator<Item = (f64, f64)> {
    (0..=steps * POINTS).map(move |point| {
        let nines = f64::from(point) / f64::from(POINTS);
        let latency = latencies.quantile(1.0 - 10_f64.powf(-nines));
        (nines, latency.as_secs_f64() * 1_000.0)
    })
}

/// The name of a place on the axis.
fn percentile(nines: f64) -> String {
    let share = format!("{:.6}", 100.0 * (1.0 - 10_f64.powf(-nines)));
    format!("{} %", share.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_axis_names_its_nines() {
        let names: Vec<_> = [0.0, 1.0, 2.0, 3.0, 4.0].map(percentile).into();
        assert_eq!(names, ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn the_picture_has_both_curves() {
        let mut results = Measured::new();
        for number in 1..=1_000 {
            results.ack.record(Duration::from_micros(number));
            results.delivery.record(Duration::from_micros(2 * number));
        }
        let picture = picture(&results).expect("it can be drawn");
        for part in ["<svg", "acknowledged", "on every terminal", "99.9 %", "<polyline"] {
            assert!(picture.contains(part), "{part}");
        }
    }
}
