//! Client of imd.
//!
//! A [`Terminal`] is one login of one device. It sends, and it follows its user's [`Timeline`]: the
//! ordered log of everything any of the user's terminals must know. What a client has to do by the
//! contract is done here: it opens a broken stream again, on any of the servers, with pauses that grow
//! and differ from client to client; it resumes by cursor; it gets a new access token in time; it sends
//! a message whose fate is unknown again under the same `client_message_id`; and once its session has
//! ended it stops for good.
//!
//! ```no_run
//! use imd_client::{Connection, Event, Terminal, proto, proto::login_request::Credential};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let servers = ["http://10.0.0.5:8080".parse()?, "http://10.0.0.6:8080".parse()?];
//! let connection = Connection::new(&servers)?;
//! let phone = Terminal::login(
//!     connection,
//!     proto::LoginRequest {
//!         user_id: "ann".to_owned(),
//!         credential: Some(Credential::Password("correct horse battery staple".to_owned())),
//!         terminal: Some(proto::Terminal {
//!             r#type: "phone".to_owned(),
//!             device_id: "b3e1".to_owned(),
//!             device_name: "Ann's Pixel".to_owned(),
//!         }),
//!         if_occupied: proto::IfOccupied::Replace.into(),
//!     },
//! )
//! .await?;
//! let mut timeline = phone.follow(imd_client::FLOOR);
//! loop {
//!     if let Event::Entry(entry) = timeline.next().await? {
//!         println!("{entry:?}");
//!     }
//! }
//! # }
//! ```

mod backoff;
mod connection;
mod error;
pub mod history;
mod send_stream;
mod session;
mod terminal;
mod timeline;
mod wire;

/// The messages of the contract.
pub use imd_proto::v1 as proto;

pub use self::{
    connection::Connection,
    error::Error,
    send_stream::{SendAnswers, SendRequests},
    terminal::{AuthorizedChannel, Bearer, SendError, Sent, Terminal},
    timeline::{Event, FLOOR, NOW, Timeline},
};
