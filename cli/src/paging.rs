//! Listings over all their pages.

use std::num::NonZeroUsize;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{error::Error, output};

/// The largest page that the server gives.
const PAGE_SIZE: usize = 1_000;

/// The option of every listing.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Stop after N of them; without it, all are listed
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
}

impl LimitArgs {
    /// The items of all pages, up to the limit. `page` gets a page size and a page token and gives
    /// items and the next token. From the second page on, a terminal shows the progress.
    pub(crate) async fn collect<T>(
        &self,
        mut page: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String), Error>,
    ) -> Result<Vec<T>, Error> {
        let limit = self.limit.map_or(usize::MAX, NonZeroUsize::get);
        let progress = ProgressBar::no_length().with_style(progress_style());
        let mut items = Vec::new();
        let mut token = String::new();
        loop {
            let size = PAGE_SIZE.min(limit - items.len());
            let (more, next) = page(i32::try_from(size).unwrap_or(i32::MAX), token).await?;
            items.extend(more);
            token = next;
            if token.is_empty() || items.len() >= limit {
                break;
            }
            progress.set_position(items.len() as u64);
        }
        progress.finish_and_clear();
        if items.len() > limit || !token.is_empty() {
            output::note(&format!("there are more than these {limit} (--limit)"));
        }
        items.truncate(limit);
        Ok(items)
    }
}

fn progress_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {human_pos} …")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that holds the numbers below `total`. The token is the next number.
    async fn numbers(total: usize, limit: Option<usize>) -> (Vec<usize>, Vec<i32>) {
        let limit = LimitArgs { limit: limit.and_then(NonZeroUsize::new) };
        let mut sizes = Vec::new();
        let items = limit
            .collect(async |size, token: String| {
                sizes.push(size);
                let from: usize = token.parse().unwrap_or(0);
                let to = total.min(from + usize::try_from(size).expect("a page size"));
                let next = if to < total { to.to_string() } else { String::new() };
                Ok(((from..to).collect(), next))
            })
            .await
            .expect("every page is served");
        (items, sizes)
    }

    #[tokio::test]
    async fn all_pages_are_read() {
        let (items, sizes) = numbers(2_500, None).await;
        assert_eq!(items, (0..2_500).collect::<Vec<_>>());
        assert_eq!(sizes, [1_000, 1_000, 1_000]);
    }

    #[tokio::test]
    async fn the_limit_bounds_the_last_page() {
        let (items, sizes) = numbers(2_500, Some(1_200)).await;
        assert_eq!(items, (0..1_200).collect::<Vec<_>>());
        assert_eq!(sizes, [1_000, 200]);
    }

    #[tokio::test]
    async fn an_empty_listing_is_one_page() {
        assert_eq!(numbers(0, None).await, (vec![], vec![1_000]));
    }
}
