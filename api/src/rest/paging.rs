//! The parameters of listings that come in pages.

use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// The most items to return: 50 when absent or 0; more than 200 messages, or 1,000 conversations or
    /// users, counts as so many. A page may hold fewer: it ends before it has more than 512 KiB of bodies.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    pub(super) page_size: i32,
    /// `next_page_token` of the page before; absent or empty for the first page.
    #[serde(default)]
    pub(super) page_token: String,
}
