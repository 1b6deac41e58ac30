//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{ArgMatches, Args, Parser, Subcommand};
use tonic::transport::Uri;

use crate::{
    client::{DEFAULT_SERVER, server_url},
    clock,
    commands::{
        attachments::AttachmentsCommand, audit::AuditArgs, bench::BenchArgs,
        broadcast::BroadcastCommand, chat::ChatArgs, completions::CompletionsArgs,
        contacts::ContactsCommand, context::ContextCommand, demo::DemoArgs, doctor::DoctorArgs,
        events::EventsArgs, groups::GroupsCommand, jobs::JobsCommand, keys::KeysCommand,
        messages::MessagesCommand, push::PushCommand, reference::ReferenceArgs,
        retention::RetentionCommand, sessions::SessionsCommand, status::StatusArgs,
        support::SupportCommand, terminals::TerminalsCommand, timelines::TimelinesCommand,
        top::TopArgs, users::UsersCommand, webhooks::WebhooksCommand,
    },
};

const AFTER_HELP: &str = "\
Examples:
  imctl status
  imctl users create ann
  imctl sessions list --user ann -o wide
  imctl sessions kick ann --terminal phone --reason 'lost device'
  imctl groups create team --owner ann --members ben,cleo
  imctl retention set free --days 7 --messages 10000
  imctl --profile prod audit --limit 20

The admin key, from the first of these that is given:
  --admin-key-file FILE    or IMCTL_ADMIN_KEY_FILE
  IMCTL_ADMIN_KEY          the key itself
  the profile              admin_key_file or admin_key
  IMD_DATA_DIR/admin.key
  ./imd-data/admin.key     for a server on this machine

Profiles, in $XDG_CONFIG_HOME/imctl/config.toml or --config FILE, which `imctl context` writes;
\"default\" is used unasked:
  [profiles.prod]
  server = \"https://imd-admin.example.com\"
  public_server = \"https://im.example.com\"
  admin_key_file = \"prod.key\"     # files are relative to this one
  ca = \"authorities.pem\"          # likewise client_cert and client_key

Connection, for every command:
  --server URL            the admin listener, or IMCTL_SERVER [default: http://127.0.0.1:8081]
  --profile NAME          the profile to use, or IMCTL_PROFILE; imctl context makes them
  --config FILE           the file of profiles
  --admin-key-file FILE   the file that holds the admin key
  --reason TEXT           why, for the audit record and the terminals whose sessions end
  --timeout TIME          how long to wait for each answer of the server [default: 10s]
  --ca FILE               the authorities to trust, PEM, or IMCTL_CA [default: the system's]
  --client-cert FILE      the certificate to show, PEM, or IMCTL_CLIENT_CERT
  --client-key FILE       the private key of that certificate, PEM, or IMCTL_CLIENT_KEY

Exit codes:
  0  success; an empty list is one
  1  the operation failed, or there was nothing to do it to
  2  wrong arguments or configuration
  3  the server cannot be reached, or did not answer in time
  4  no admin key, or the server refused it

Results go to stdout, everything else to stderr. NO_COLOR turns colours off.";

/// An option of the command, whichever that is; `None` where it has no such option, or is not given it.
pub(crate) fn option<'a, T: Clone + Send + Sync + 'static>(
    matches: &'a ArgMatches,
    name: &str,
) -> Option<&'a T> {
    match matches.subcommand() {
        Some((_, matches)) => option(matches, name),
        None => matches.try_get_one(name).ok().flatten(),
    }
}

/// Administers imd: users, sessions, groups, retention, keys, status, audit.
#[derive(Debug, Parser)]
#[command(name = "imctl", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which server, and as whom. The options go with every command, so they are told of once, in the help of imctl.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// URL of the admin listener.
    #[arg(
        long,
        hide = true,
        global = true,
        value_name = "URL",
        env = "IMCTL_SERVER",
        hide_env_values = true,
        value_parser = server_url,
        help = format!("The admin listener of imd [default: {DEFAULT_SERVER}]")
    )]
    pub(crate) server: Option<Uri>,
    /// The file that holds the admin key
    #[arg(
        long,
        hide = true,
        global = true,
        value_name = "FILE",
        env = "IMCTL_ADMIN_KEY_FILE",
        hide_env_values = true
    )]
    pub(crate) admin_key_file: Option<PathBuf>,
    /// Why, for the audit record; the terminals whose sessions end are told, too; at most 256
    /// characters
    #[arg(
        long,
        hide = true,
        global = true,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) reason: String,
    /// The authorities to trust where the server speaks TLS, PEM [default: those of the system]
    #[arg(
        long,
        hide = true,
        global = true,
        value_name = "FILE",
        env = "IMCTL_CA",
        hide_env_values = true
    )]
    pub(crate) ca: Option<PathBuf>,
    /// The certificate to show where the admin listener asks for one, PEM
    #[arg(
        long,
        hide = true,
        global = true,
        value_name = "FILE",
        env = "IMCTL_CLIENT_CERT",
        hide_env_values = true
    )]
    pub(crate) client_cert: Option<PathBuf>,
    /// The private key of that certificate, PEM
    #[arg(
        long,
        hide = true,
        global = true,
        value_name = "FILE",
        env = "IMCTL_CLIENT_KEY",
        hide_env_values = true
    )]
    pub(crate) client_key: Option<PathBuf>,
    /// The profile to use
    #[arg(
        long,
        hide = true,
        alias = "context",
        global = true,
        value_name = "NAME",
        env = "IMCTL_PROFILE",
        hide_env_values = true
    )]
    pub(crate) profile: Option<String>,
    /// The file of profiles
    #[arg(long, hide = true, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How long to wait for each answer of the server
    #[arg(long, hide = true, global = true, value_name = "TIME", default_value = "10s", value_parser = clock::some_time)]
    pub(crate) timeout: Duration,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create, list, disable users and set their passwords
    #[command(subcommand)]
    Users(UsersCommand),
    /// List sessions and end them
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// List, create, change and dissolve groups, and say who is in them
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// List whom users have as contacts
    #[command(subcommand)]
    Contacts(ContactsCommand),
    /// Find out where messages have got to; export and import them
    #[command(subcommand)]
    Messages(MessagesCommand),
    /// List attachments of messages, and delete those that no message has
    #[command(subcommand)]
    Attachments(AttachmentsCommand),
    /// Show, change and try out how far back users see, and delete what they no longer do
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Make and revoke the keys of administrators, and rotate those that sign access tokens
    #[command(subcommand)]
    Keys(KeysCommand),
    /// List what the cluster does unasked; run it now, or end it
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// See which terminals are told of messages while they have no stream, and test it
    #[command(subcommand)]
    Push(PushCommand),
    /// Send a message to many users, and see how far it is
    #[command(subcommand)]
    Broadcast(BroadcastCommand),
    /// Have servers of your own told of what happens
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Watch what a user's timeline gets, and start the numbering of timelines anew
    #[command(subcommand, visible_alias = "timeline")]
    Timelines(TimelinesCommand),
    /// Show and change how many sessions of each terminal type a user may have
    #[command(subcommand)]
    Terminals(TerminalsCommand),
    /// Show the nodes, what they hold and how large the database is
    Status(StatusArgs),
    /// Check a node and its database, and say what to mend
    Doctor(DoctorArgs),
    /// Watch how a node fares: calls, messages, lanes, the slowest calls, the busiest users
    Top(TopArgs),
    /// Watch logins, ends of sessions and changes of keys as they happen
    Events(EventsArgs),
    /// Gather what somebody needs who is to find out what is wrong
    #[command(subcommand)]
    Support(SupportCommand),
    /// Keep servers under names, and choose among them
    #[command(subcommand)]
    Context(ContextCommand),
    /// List what administrators did, the newest first
    Audit(AuditArgs),
    /// Play a conversation over several terminals against a running server, and check it
    Demo(DemoArgs),
    /// Log in as a terminal of a user, and chat
    Chat(ChatArgs),
    /// Load a cluster, measure it, and check that it loses, doubles and reorders nothing
    Bench(BenchArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print all commands with their options as Markdown, or write manual pages
    Reference(ReferenceArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_options_of_connections_are_told_of_once() {
        let command = Cli::command();
        for option in command.get_arguments().filter(|option| option.is_global_set()) {
            let long = format!("--{} ", option.get_long().expect("a long name"));
            assert!(option.is_hide_set() && AFTER_HELP.contains(&long), "{long}");
        }
    }

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
