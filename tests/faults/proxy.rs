//! A TCP proxy in this process, for connections that are to go wrong: cut, slow, silent, refused, or
//! cut or silent from the very moment when something certain passes.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    net::{TcpListener, TcpStream, UnixStream},
    sync::{oneshot, watch},
    task::JoinSet,
    time::sleep,
};
use tokio_postgres::config::Host;

/// The most that is passed on at a time, in bytes.
const CHUNK: usize = 64 * 1024;

/// Where a proxy leads.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Which end says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// How connections fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Everything takes so much longer, either way.
    Slow(Duration),
    /// Connections stand and nothing passes.
    Silent,
    /// There is nobody.
    Refused,
}

#[derive(Debug, Clone)]
struct State {
    target: Target,
    weather: Weather,
    /// Counts the cuts: a connection made before the last one ends.
    cuts: u64,
}

/// What becomes of a connection on which something certain is said.
#[derive(Debug, Clone, Copy)]
enum Then {
    Cut,
    Silence,
}

/// Cuts or silences one connection, once.
struct Trap {
    side: Side,
    pattern: &'static [u8],
    then: Then,
    sprung: oneshot::Sender<()>,
}

/// What the client of one connection has said.
type Record = Arc<Mutex<Vec<u8>>>;

struct Shared {
    state: watch::Sender<State>,
    trap: Mutex<Option<Trap>>,
    /// What the client of each connection has said; none unless it is recorded.
    recorded: Mutex<Option<Vec<Record>>>,
}

/// A listener on loopback that leads elsewhere. It ends, with its connections, when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _listening: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(target: Target) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let state = State { target, weather: Weather::Fair, cuts: 0 };
        let state = watch::Sender::new(state);
        let shared = Arc::new(Shared { state, trap: Mutex::default(), recorded: Mutex::default() });
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, shared.clone()));
        Self { address, shared, _listening: listening }
    }

    /// A proxy in front of the database at `url`, and the URL of that database through it.
    pub(crate) async fn before_database(url: &str) -> (Self, String) {
        let config: tokio_postgres::Config = url.parse().expect("the URL of a database");
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let target = match config.get_hosts() {
            [Host::Unix(folder), ..] => Target::Unix(folder.join(format!(".s.PGSQL.{port}"))),
            [Host::Tcp(name), ..] => {
                let mut found = tokio::net::lookup_host((name.as_str(), port)).await;
                Target::Tcp(found.as_mut().ok().and_then(Iterator::next).expect("a known host"))
            }
            [] => panic!("a URL with a host"),
        };
        let proxy = Self::start(target).await;
        let quoted = |name, value: &str| {
            format!(" {name}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
        };
        let mut through = format!("host=127.0.0.1 port={}", proxy.address.port());
        through += &quoted("user", config.get_user().expect("a URL with a user"));
        through += &quoted("dbname", config.get_dbname().expect("a URL with a database"));
        if let Some(password) = config.get_password() {
            through += &quoted("password", std::str::from_utf8(password).expect("UTF-8"));
        }
        (proxy, through)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes down what the clients of connections from now on say.
    pub(crate) fn record(&self) {
        *self.shared.recorded() = Some(Vec::new());
    }

    /// What they have said so far, by connection.
    pub(crate) fn recorded(&self) -> Vec<Vec<u8>> {
        let recorded = self.shared.recorded();
        recorded.iter().flatten().map(|said| said.lock().expect("no panic").clone()).collect()
    }

    /// Leads connections from now on elsewhere.
    pub(crate) fn lead_to(&self, address: SocketAddr) {
        self.shared.state.send_modify(|state| state.target = Target::Tcp(address));
    }

    /// Cuts all connections. New ones are made as the weather is.
    pub(crate) fn cut(&self) {
        self.shared.state.send_modify(|state| state.cuts += 1);
    }

    /// Lets everything pass again.
    pub(crate) fn clear(&self) {
        self.set(Weather::Fair);
    }

    /// Holds back everything for `delay`, either way.
    pub(crate) fn slow(&self, delay: Duration) {
        self.set(Weather::Slow(delay));
    }

    /// Lets nothing pass, and says nothing.
    pub(crate) fn silence(&self) {
        self.set(Weather::Silent);
    }

    /// Cuts all connections, and those that are made from now on at once.
    pub(crate) fn refuse(&self) {
        self.set(Weather::Refused);
        self.cut();
    }

    fn set(&self, weather: Weather) {
        self.shared.set(weather);
    }

    /// Cuts the next connection on which `side` says `pattern`, which does not get through any more;
    /// what was said before it does. What is returned resolves when that has happened.
    pub(crate) fn cut_at(
        &self,
        side: Side,
        pattern: &'static [u8],
    ) -> impl Future<Output = ()> + use<> {
        self.trap(side, pattern, Then::Cut)
    }

    /// As [`Proxy::cut_at`], but the connections stand, and nothing passes on any of them.
    pub(crate) fn silence_at(
        &self,
        side: Side,
        pattern: &'static [u8],
    ) -> impl Future<Output = ()> + use<> {
        self.trap(side, pattern, Then::Silence)
    }

    fn trap(
        &self,
        side: Side,
        pattern: &'static [u8],
        then: Then,
    ) -> impl Future<Output = ()> + use<> {
        let (sprung, springs) = oneshot::channel();
        *self.shared.trap() = Some(Trap { side, pattern, then, sprung });
        async { springs.await.expect("only one trap at a time") }
    }
}

impl Shared {
    fn trap(&self) -> std::sync::MutexGuard<'_, Option<Trap>> {
        self.trap.lock().expect("nobody panics with it")
    }

    fn recorded(&self) -> std::sync::MutexGuard<'_, Option<Vec<Record>>> {
        self.recorded.lock().expect("nobody panics with it")
    }

    /// Begins to write down a connection, where it is wanted.
    fn record_another(&self) -> Option<Record> {
        let mut recorded = self.recorded();
        let record = Record::default();
        recorded.as_mut()?.push(record.clone());
        Some(record)
    }

    fn set(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }

    /// The trap that waits for what `side` says, and where in it the pattern begins.
    fn springs(&self, side: Side, said: &[u8]) -> Option<(usize, Trap)> {
        let place = |trap: &Trap| {
            let place = said.windows(trap.pattern.len()).position(|part| part == trap.pattern);
            place.filter(|_| trap.side == side)
        };
        let mut trap = self.trap();
        let place = place(trap.as_ref()?)?;
        Some((place, trap.take()?))
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut links = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a listener goes on");
        while links.try_join_next().is_some() {}
        links.spawn(link(client, shared.clone()));
    }
}

/// Carries one connection until either end leaves or it is cut.
async fn link(client: TcpStream, shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    let State { target, weather, cuts } = state.borrow_and_update().clone();
    if weather == Weather::Refused || client.set_nodelay(true).is_err() {
        return;
    }
    let carried = async {
        match target {
            Target::Tcp(address) => {
                let Ok(server) = TcpStream::connect(address).await else { return };
                let _ = server.set_nodelay(true);
                carry(client, server, &shared).await;
            }
            Target::Unix(path) => {
                let Ok(server) = UnixStream::connect(path).await else { return };
                carry(client, server, &shared).await;
            }
        }
    };
    tokio::select! {
        () = carried => {}
        _ = state.wait_for(|state| state.cuts > cuts) => {}
    }
}

async fn carry(client: TcpStream, server: impl AsyncRead + AsyncWrite, shared: &Shared) {
    let (from_client, to_client) = split(client);
    let (from_server, to_server) = split(server);
    tokio::select! {
        _ = pump(Side::Client, from_client, to_server, shared) => {}
        _ = pump(Side::Server, from_server, to_client, shared) => {}
    }
}

/// Passes on what one side says, as the weather allows.
async fn pump(
    side: Side,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut state = shared.state.subscribe();
    let mut chunk = vec![0; CHUNK];
    let record = if side == Side::Client { shared.record_another() } else { None };
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        let mut said = &chunk[..read];
        if let Some(record) = &record {
            record.lock().expect("no panic").extend(said);
        }
        if let Some((place, trap)) = shared.springs(side, said) {
            to.write_all(&said[..place]).await?;
            said = &said[place..];
            if let Then::Silence = trap.then {
                shared.set(Weather::Silent);
            }
            // A test that does not wait for it wants it all the same.
            let _ = trap.sprung.send(());
            if let Then::Cut = trap.then {
                return Ok(());
            }
        }
        let weather = state.borrow().weather;
        if let Weather::Slow(delay) = weather {
            sleep(delay).await;
        }
        let _ = state.wait_for(|state| state.weather != Weather::Silent).await;
        to.write_all(said).await?;
    }
}
