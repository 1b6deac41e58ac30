//! What a node says of itself at `/metrics` of its admin listener.

use crate::{client::Admin, error::Error};

/// The figures of a node at one moment, in Prometheus' text format.
pub(super) struct Metrics(String);

/// What the lanes of a node have done since it started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batches {
    /// How many lanes there are.
    lanes: f64,
    batches: f64,
    messages: f64,
}

/// The batches that lanes make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) lanes: usize,
    /// Messages in a batch, on the average and rounded; one at least.
    pub(super) size: usize,
}

impl Metrics {
    pub(super) async fn read(admin: &Admin) -> Result<Self, Error> {
        Ok(Self(admin.metrics().await?))
    }

    /// The value of a metric without labels; none when nothing has been counted yet.
    fn find(&self, name: &str) -> Option<f64> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// The value of a metric that every node has.
    fn get(&self, name: &str) -> Result<f64, Error> {
        self.find(name).ok_or_else(|| Error::Bench(format!("the node does not tell its {name}")))
    }

    pub(super) fn batches(&self) -> Result<Batches, Error> {
        Ok(Batches {
            lanes: self.get("imd_append_lanes")?,
            batches: self.find("imd_append_batch_size_count").unwrap_or_default(),
            messages: self.find("imd_append_batch_size_sum").unwrap_or_default(),
        })
    }

    /// Memory that is in use and not swapped out, in bytes.
    pub(super) fn resident_memory(&self) -> Result<f64, Error> {
        self.get("process_resident_memory_bytes")
    }

    /// Time of all processors together, in seconds.
    pub(super) fn cpu_seconds(&self) -> Result<f64, Error> {
        self.get("process_cpu_seconds_total")
    }
}

impl Batches {
    /// The batches that were made since `earlier`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small counts, and a cast never gives less than nothing"
    )]
    pub(super) fn shape_since(self, earlier: Self) -> Shape {
        let size = (self.messages - earlier.messages) / (self.batches - earlier.batches).max(1.0);
        Shape { lanes: (self.lanes as usize).max(1), size: (size.round() as usize).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(batches: u32, messages: u32) -> Metrics {
        Metrics(format!(
            "# TYPE imd_append_batch_size histogram\n\
             imd_append_batch_size_bucket{{le=\"1\"}} 7\n\
             imd_append_batch_size_sum {messages}\n\
             imd_append_batch_size_count {batches}\n\n\
             imd_append_lanes 2\n\
             process_resident_memory_bytes 1.5e6\n"
        ))
    }

    #[test]
    fn the_shape_of_batches_is_that_of_the_time_between() {
        let earlier = metrics(10, 10).batches().expect("they are there");
        let later = metrics(110, 2_960).batches().expect("they are there");
        // 29.5 messages each.
        assert_eq!(later.shape_since(earlier), Shape { lanes: 2, size: 30 });
    }

    #[test]
    fn a_node_that_has_appended_nothing_yet_made_batches_of_one() {
        let none = Metrics("imd_append_lanes 1\n".to_owned()).batches().expect("there are lanes");
        assert_eq!(none.shape_since(none), Shape { lanes: 1, size: 1 });
    }

    #[test]
    fn a_name_is_not_taken_for_a_longer_one() {
        assert!(metrics(1, 1).find("imd_append_batch_size").is_none());
        assert!((metrics(1, 1).resident_memory().expect("it is there") - 1.5e6).abs() < 1.0);
        let missing = metrics(1, 1).cpu_seconds().expect_err("it is not there");
        assert!(missing.to_string().contains("process_cpu_seconds_total"));
    }
}
