//! Who is there, as others see it: nothing of it is stored, and nobody sees more than the user lets.

mod changes;
mod refused;
mod shown;

use crate::support::{
    cluster::Cluster,
    feed::Feed,
    terminal::Terminal,
    types::{Event, UserPresence},
};

/// The users of the next event, which must be of presence, without the times.
#[track_caller]
fn told(feed: &mut Feed) -> impl Future<Output = Vec<(String, String, Vec<String>)>> {
    let caller = std::panic::Location::caller();
    async move {
        match feed.event().await {
            Event::Presence(users) => {
                let parts = |user: UserPresence| (user.user_id, user.state, user.terminal_types);
                users.into_iter().map(parts).collect()
            }
            other => panic!("{caller}: {other:?}"),
        }
    }
}

fn of(user_id: &str, state: &str, types: &[&str]) -> (String, String, Vec<String>) {
    (user_id.to_owned(), state.to_owned(), types.iter().copied().map(str::to_owned).collect())
}

/// Ann, who watches Bob, who has never been there.
async fn watching(imd: &Cluster) -> (Terminal, Feed) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let mut feed = ann.watch(&["bob"]).await;
    assert_eq!(told(&mut feed).await, [of("bob", "OFFLINE", &[])]);
    (ann, feed)
}
