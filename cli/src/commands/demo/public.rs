//! The public listener, as the terminals of the demo and of the chat use it.

use std::time::Duration;

use clap::Args;
use imd_proto::v1::{GetInfoRequest, TerminalType, info_service_client::InfoServiceClient};
use tonic::{
    Status,
    transport::{Channel, Uri},
};

use crate::{
    client::{connect, failure, profile_url, server_url},
    commands::together::together,
    error::Error,
    profile::Profile,
    trust::Trust,
};

/// Where imd serves its users when it is told nothing.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// Which public listener.
#[derive(Debug, Args)]
pub(crate) struct PublicServerArgs {
    /// URL of the public listener.
    #[arg(
        long,
        value_name = "URL",
        env = "IMCTL_PUBLIC_SERVER",
        hide_env_values = true,
        value_parser = server_url,
        help = format!("The public listener of imd [default: {DEFAULT_SERVER}]")
    )]
    public_server: Option<Uri>,
}

/// Where the terminals connect to, and how long they wait for anything.
#[derive(Debug, Clone)]
pub(crate) struct PublicServer {
    pub(crate) url: Uri,
    pub(super) patience: Duration,
    pub(super) trust: Trust,
}

/// The terminal types of the story.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    /// One session at a time.
    pub(super) phone: String,
    /// Beside the phone.
    pub(super) pc: String,
    /// Beside both.
    pub(super) pad: String,
}

impl Cast {
    /// Phone, PC and pad where the server allows that, and otherwise others that it does.
    fn of(known: &[TerminalType]) -> Result<Self, Error> {
        let fits = |place: usize, known: &TerminalType| place > 0 || known.session_limit == 1;
        let chosen = together(known, &["phone", "pc", "pad", "web", "watch"], 3, fits);
        let chosen = chosen.map_err(|rules| {
            Error::Demo(format!(
                "the story needs three terminal types that one user can have beside each other, the \
                 first with one session at a time; {rules}"
            ))
        })?;
        let [phone, pc, pad] = [0, 1, 2].map(|place| chosen[place].name.clone());
        Ok(Self { phone, pc, pad })
    }
}

impl PublicServer {
    /// From the argument, else the profile, else the default.
    pub(crate) fn find(
        args: &PublicServerArgs,
        profile: &Profile,
        patience: Duration,
        trust: Trust,
    ) -> Result<Self, Error> {
        let url = match (&args.public_server, &profile.public_server) {
            (Some(url), _) => url.clone(),
            (None, Some(url)) => profile_url(url)?,
            (None, None) => Uri::from_static(DEFAULT_SERVER),
        };
        Ok(Self { url, patience, trust })
    }

    /// Reaches the server: its version, and the terminals of the story.
    pub(super) async fn check(&self) -> Result<(String, Cast), Error> {
        let mut calls = InfoServiceClient::new(self.connect().await?);
        let info = calls.get_info(GetInfoRequest {}).await;
        let info = info.map_err(|status| self.failure(status))?.into_inner();
        Ok((info.version, Cast::of(&info.terminal_types)?))
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> Result<Channel, Error> {
        connect(&self.url, self.trust.of_user(), self.patience).await
    }

    /// What the failure of a call means.
    pub(super) fn failure(&self, status: Status) -> Error {
        failure(&self.url, status)
    }
}
