//! A connection to imd's database, past imd.

use futures::FutureExt as _;
use tokio_postgres::{Client, Config, NoTls};

use crate::error::Error;

pub(super) async fn connect(url: &str) -> Result<Client, Error> {
    // The parser's own words could quote the password.
    let config: Config =
        url.parse().map_err(|_| Error::Usage("--database: not a PostgreSQL URL".to_owned()))?;
    let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
    tokio::spawn(connection.map(drop));
    Ok(client)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn failed(error: tokio_postgres::Error) -> Error {
    let cause = error.as_db_error().map(ToString::to_string);
    Error::Bench(format!("--database: {}", cause.unwrap_or_else(|| error.to_string())))
}
