//! A database, a node on it, and users: what most tests begin with.

use std::sync::{Arc, LazyLock};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use imd::{
    config::Settings,
    model::UserId,
    store::{Audit, Store},
};

use super::{
    admin::Admin,
    api::{Api, Credential, Login, Result, Transport},
    eventually,
    node::Node,
    postgres::Database,
    terminal::Terminal,
};

/// The password of every user that [`Cluster::user`] makes.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A hash that costs next to nothing to check, so that tests do not wait for logins.
static PASSWORD_HASH: LazyLock<String> = LazyLock::new(|| {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).expect("the least there may be");
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    hasher.hash_password(PASSWORD.as_bytes()).expect("a hash").to_string()
});

pub(crate) struct Cluster {
    pub(crate) transport: Transport,
    pub(crate) api: Arc<dyn Api>,
    pub(crate) node: Node,
    store: Store,
    // The last, so that it is dropped when nobody uses it any more.
    pub(crate) database: Database,
}

impl Cluster {
    /// A cluster of one node.
    pub(crate) async fn start(transport: Transport) -> Self {
        let database = Database::create().await;
        let node = Node::start(&database).await;
        Self::of(transport, database, node)
    }

    pub(crate) fn of(transport: Transport, database: Database, node: Node) -> Self {
        let api = node.api(transport);
        let store = Store::new(database.url(), 2).expect("a store");
        Self { transport, api, node, store, database }
    }

    /// One more node on the database, and a client of it.
    pub(crate) async fn start_node(&self) -> (Node, Arc<dyn Api>) {
        self.start_node_with(|_| ()).await
    }

    /// One more node, with other settings than those of the tests.
    pub(crate) async fn start_node_with(
        &self,
        change: impl FnOnce(&mut Settings),
    ) -> (Node, Arc<dyn Api>) {
        let node = Node::start_with(&self.database, change).await;
        let api = node.api(self.transport);
        (node, api)
    }

    pub(crate) fn admin(&self) -> Admin {
        self.node.admin()
    }

    /// Makes a user, more cheaply than an administrator can.
    pub(crate) async fn user(&self, user_id: &str) {
        let audit = Audit {
            actor: "tests",
            action: "create_user",
            details: serde_json::json!({}),
            reason: "",
            address: None,
        };
        let user_id = UserId::parse("user_id", user_id).expect("a valid id");
        self.store
            .create_user(&user_id, Some(&PASSWORD_HASH), "unlimited", audit)
            .await
            .expect("a new user");
    }

    pub(crate) async fn users<const N: usize>(&self, user_ids: [&str; N]) {
        for user_id in user_ids {
            self.user(user_id).await;
        }
    }

    /// Logs a user in on a device of this id.
    pub(crate) async fn log_in(
        &self,
        user_id: &str,
        terminal_type: &str,
        device_id: &str,
    ) -> Terminal {
        let login = login(user_id, terminal_type, device_id);
        eventually("a login", async || match self.try_log_in(&login).await {
            // As a client does: a busy machine checks so many passwords at a time and no more.
            Err(failure) if failure.code == "overloaded" => None,
            logged_in => Some(logged_in.unwrap_or_else(|error| panic!("{login:?}: {error:?}"))),
        })
        .await
    }

    pub(crate) async fn try_log_in(&self, login: &Login) -> Result<Terminal> {
        let logged_in = self.api.login(login).await?;
        Ok(Terminal::new(self.api.clone(), &login.user_id, logged_in))
    }

    /// Makes a user and logs it in on a phone.
    pub(crate) async fn user_with_phone(&self, user_id: &str) -> Terminal {
        self.user(user_id).await;
        self.log_in(user_id, "phone", &format!("{user_id}-phone")).await
    }
}

/// A login with the right password on a device named after its id.
pub(crate) fn login(user_id: &str, terminal_type: &str, device_id: &str) -> Login {
    Login {
        user_id: user_id.to_owned(),
        credential: Credential::Password(PASSWORD.to_owned()),
        terminal_type: terminal_type.to_owned(),
        device_id: device_id.to_owned(),
        device_name: format!("{user_id}'s {device_id}"),
        refuse: false,
    }
}
