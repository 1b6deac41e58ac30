//! `imctl keys`

use clap::{Subcommand, ValueEnum};
use comfy_table::{Cell, Color};
use imd_proto::v1::{
    AccessTokenKey, AdminKey, CreateAdminKeyRequest, ListAccessTokenKeysRequest,
    ListAdminKeysRequest, RevokeAdminKeyRequest, Role, RotateAccessTokenKeyRequest,
};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, Format, OutputArgs, Row, WatchedOutput},
};

/// `imctl keys …`
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make, list and revoke the keys of administrators
    #[command(subcommand)]
    Admin(AdminKeysCommand),
    /// List the keys that sign access tokens, and those whose tokens are still taken
    List(WatchedOutput),
    /// Sign access tokens with a new key from now on, on every node
    ///
    /// Nobody is logged out: tokens of the old key are good until they expire, and then the key is
    /// deleted.
    Rotate(OutputArgs),
}

/// `imctl keys admin …`
#[derive(Debug, Subcommand)]
pub(crate) enum AdminKeysCommand {
    /// Make a key and print it: this once, since the server keeps its hash alone
    #[command(after_help = "\
Examples:
  imctl keys admin create ann --role support > ann.key
  imctl keys admin create backend --role admin -o json")]
    Create {
        /// What the audit is to call the key
        name: String,
        /// What it may do
        #[arg(long, value_enum)]
        role: RoleArg,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// List the keys, revoked ones included
    List(WatchedOutput),
    /// Make a key good for nothing, at once and on every node
    Revoke {
        /// The key's name
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// A role, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleArg {
    /// See users, sessions, status and audit
    Viewer,
    /// The same, and end sessions, disable and enable users
    Support,
    /// What support may, and send messages, make and delete users and groups, and set passwords
    Backend,
    /// Everything
    Admin,
}

/// Runs one of the commands.
pub(crate) async fn run(command: KeysCommand, admin: &mut Admin) -> Result<(), Error> {
    let command = match command {
        KeysCommand::Admin(command) => command,
        KeysCommand::List(output) => return list_access_keys(&output, admin).await,
        KeysCommand::Rotate(output) => return rotate(&output, admin).await,
    };
    match command {
        AdminKeysCommand::Create { name, role, output } => create(name, role, &output, admin).await,
        AdminKeysCommand::List(output) => list(&output, admin).await,
        AdminKeysCommand::Revoke { name, output } => revoke(name, &output, admin).await,
    }
}

async fn create(
    name: String,
    role: RoleArg,
    output: &OutputArgs,
    admin: &mut Admin,
) -> Result<(), Error> {
    let role = match role {
        RoleArg::Viewer => Role::Viewer,
        RoleArg::Support => Role::Support,
        RoleArg::Backend => Role::Backend,
        RoleArg::Admin => Role::Admin,
    };
    let answer = admin.calls.create_admin_key(CreateAdminKeyRequest { name, role: role.into() });
    let created = answer.await.map_err(|status| admin.failure(status))?.into_inner();
    let key = KeyView::from(created.key.unwrap_or_default());
    match output.output {
        // Alone, so that it can go to a file.
        Format::Table | Format::Wide => {
            output::note(&format!("{} has the role {}; keep the key", key.name, key.role));
            output::print(&created.secret)
        }
        format => {
            let created = CreatedView { key, secret: created.secret };
            output::print(output::document(&created, format)?)
        }
    }
}

async fn list(output: &OutputArgs, admin: &mut Admin) -> Result<(), Error> {
    let answer = admin.calls.list_admin_keys(ListAdminKeysRequest {}).await;
    let keys = answer.map_err(|status| admin.failure(status))?.into_inner().keys;
    let keys: Vec<KeyView> = keys.into_iter().map(KeyView::from).collect();
    output::list(&keys, output.output, "there is no key but that of the data folder")
}

async fn revoke(name: String, output: &OutputArgs, admin: &mut Admin) -> Result<(), Error> {
    let answer = admin.calls.revoke_admin_key(RevokeAdminKeyRequest { name }).await;
    let revoked = answer.map_err(|status| admin.failure(status))?.into_inner();
    output::one(&KeyView::from(revoked.key.unwrap_or_default()), output.output)
}

async fn list_access_keys(output: &OutputArgs, admin: &mut Admin) -> Result<(), Error> {
    let answer = admin.calls.list_access_token_keys(ListAccessTokenKeysRequest {}).await;
    print_access_keys(answer.map_err(|status| admin.failure(status))?.into_inner().keys, output)
}

async fn rotate(output: &OutputArgs, admin: &mut Admin) -> Result<(), Error> {
    let answer = admin.calls.rotate_access_token_key(RotateAccessTokenKeyRequest {}).await;
    print_access_keys(answer.map_err(|status| admin.failure(status))?.into_inner().keys, output)
}

fn print_access_keys(keys: Vec<AccessTokenKey>, output: &OutputArgs) -> Result<(), Error> {
    let keys: Vec<AccessKeyView> = keys.into_iter().map(AccessKeyView::from).collect();
    output::list(&keys, output.output, "there are no keys")
}

#[derive(Debug, Serialize)]
struct AccessKeyView {
    key_id: String,
    #[serde(with = "time::serde::rfc3339::option")]
    created_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    retired_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    good_until: Option<OffsetDateTime>,
}

impl From<AccessTokenKey> for AccessKeyView {
    fn from(key: AccessTokenKey) -> Self {
        Self {
            key_id: key.key_id,
            created_at: clock::time(key.created_at),
            retired_at: clock::time(key.retired_at),
            good_until: clock::time(key.good_until),
        }
    }
}

impl Row for AccessKeyView {
    const COLUMNS: &[&str] = &["KEY ID", "CREATED", "RETIRED", "GOOD UNTIL"];
    const NARROW: usize = 4;

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        vec![
            output::text(&self.key_id),
            Cell::new(clock::ago(self.created_at, now)),
            Cell::new(clock::ago(self.retired_at, now)),
            Cell::new(clock::ahead(self.good_until, now)),
        ]
    }
}

#[derive(Debug, Serialize)]
struct CreatedView {
    #[serde(flatten)]
    key: KeyView,
    secret: String,
}

#[derive(Debug, Serialize)]
struct KeyView {
    name: String,
    role: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    created_at: Option<OffsetDateTime>,
    created_by: String,
    #[serde(with = "time::serde::rfc3339::option")]
    revoked_at: Option<OffsetDateTime>,
}

impl From<AdminKey> for KeyView {
    fn from(key: AdminKey) -> Self {
        Self {
            role: match key.role() {
                Role::Viewer => "viewer",
                Role::Support => "support",
                Role::Admin => "admin",
                Role::Backend => "backend",
                Role::Unspecified => "unknown",
            },
            name: key.name,
            created_at: clock::time(key.created_at),
            created_by: key.created_by,
            revoked_at: clock::time(key.revoked_at),
        }
    }
}

impl Row for KeyView {
    const COLUMNS: &[&str] = &["NAME", "ROLE", "CREATED", "BY", "REVOKED"];
    const NARROW: usize = 5;

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let revoked = Cell::new(clock::ago(self.revoked_at, now));
        vec![
            output::text(&self.name),
            Cell::new(self.role),
            Cell::new(clock::ago(self.created_at, now)),
            output::text(&self.created_by),
            if self.revoked_at.is_some() { revoked.fg(Color::DarkYellow) } else { revoked },
        ]
    }
}
