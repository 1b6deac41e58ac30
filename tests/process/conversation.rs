//! Ann and Ben write to each other while things happen, and their terminals follow.

use super::load::{Address, Follower, Writers, pull_all};
use crate::support::{
    api::Transport::{Grpc, Rest},
    checker::Run,
    process::Imd,
    terminal::Terminal,
};

/// How many messages of each are acknowledged before and after what happens.
const MESSAGES: usize = 150;

pub(super) struct Conversation {
    ann: Terminal,
    ben: Terminal,
    writers: [Writers; 2],
    /// Ann's terminals.
    ann_at: Address,
    /// Ben's terminals.
    ben_at: Address,
    followers: Vec<Follower>,
}

impl Conversation {
    /// Begins on one node.
    pub(super) async fn start(imd: &Imd) -> Self {
        Self::start_on(imd, imd).await
    }

    /// Begins with Ann on one node and Ben on another.
    pub(super) async fn start_on(anns: &Imd, bens: &Imd) -> Self {
        anns.create_users(&["ann", "ben"]).await;
        let ann = anns.log_in(Grpc, "ann", "phone").await;
        let ben = bens.log_in(Grpc, "ben", "phone").await;
        let (ann_at, ben_at) = (Address::new(anns.public), Address::new(bens.public));
        let followers = vec![
            Follower::start(&anns.log_in(Rest, "ann", "pc").await, Rest, &ann_at),
            Follower::start(&bens.log_in(Rest, "ben", "pc").await, Rest, &ben_at),
            Follower::start(&ben, Grpc, &ben_at),
        ];
        let writers = [Writers::start(&ann, "ben", &ann_at), Writers::start(&ben, "ann", &ben_at)];
        go_on(&writers).await;
        Self { ann, ben, writers, ann_at, ben_at, followers }
    }

    /// Goes on, on `imd` alone, and checks that every terminal has the whole story.
    pub(super) async fn check_on(mut self, imd: &Imd) {
        self.ann_at.change(imd.public);
        self.ben_at.change(imd.public);
        go_on(&self.writers).await;

        let mut run = Run::default();
        for writers in self.writers {
            writers.finish(&mut run).await;
        }
        for terminal in [&self.ann, &self.ben] {
            let user_id = &terminal.user_id;
            let timeline = pull_all(&terminal.through(Grpc.connect(imd.public))).await;
            let end = timeline.last().expect("much was said").seq;
            run.saw(user_id, "a pull", 0, timeline);
            for follower in self.followers.iter_mut().filter(|f| f.user_id == *user_id) {
                follower.finish(end, &mut run).await;
            }
        }
        run.assert_sound();
    }
}

async fn go_on(writers: &[Writers]) {
    for writers in writers {
        writers.go_on_for(MESSAGES).await;
    }
}
