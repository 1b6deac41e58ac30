//! The public listener, as the terminals of the demo and of the chat use it.

use std::time::Duration;

use clap::Args;
use imd_proto::v1::{GetInfoRequest, info_service_client::InfoServiceClient};
use tonic::{
    Status,
    transport::{Channel, Uri},
};

use crate::{
    client::{connect, failure, profile_url, server_url},
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

    /// Reaches the server and gives its version. The story needs one session for each phone.
    pub(super) async fn check(&self) -> Result<String, Error> {
        let mut calls = InfoServiceClient::new(self.connect().await?);
        let info = calls.get_info(GetInfoRequest {}).await;
        let info = info.map_err(|status| self.failure(status))?.into_inner();
        for wanted in ["phone", "pc", "pad"] {
            let known = info.terminal_types.iter().find(|known| known.name == wanted);
            match known.map(|known| known.session_limit) {
                Some(limit) if wanted != "phone" || limit == 1 => {}
                Some(limit) => {
                    return Err(Error::Demo(format!(
                        "the story needs a limit of one session for phones, here it is {limit}"
                    )));
                }
                None => {
                    return Err(Error::Demo(format!(
                        "the story needs the terminal type {wanted}, which this server does not have"
                    )));
                }
            }
        }
        Ok(info.version)
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
