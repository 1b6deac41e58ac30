//! The files of the page, in the binary.

pub(super) struct Asset {
    pub(super) name: &'static str,
    pub(super) media_type: &'static str,
    pub(super) content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($name:literal, $media_type:expr) => {
        Asset { name: $name, media_type: $media_type, content: include_str!($name) }
    };
}

pub(super) const INDEX: Asset = asset!("index.html", HTML);

/// Those below `/page/`.
pub(super) const ASSETS: [Asset; 23] = [
    asset!("style.css", CSS),
    asset!("icon.svg", SVG),
    asset!("app.js", JAVASCRIPT),
    asset!("api.js", JAVASCRIPT),
    asset!("session.js", JAVASCRIPT),
    asset!("socket.js", JAVASCRIPT),
    asset!("backoff.js", JAVASCRIPT),
    asset!("outbox.js", JAVASCRIPT),
    asset!("drafts.js", JAVASCRIPT),
    asset!("conversation.js", JAVASCRIPT),
    asset!("presence.js", JAVASCRIPT),
    asset!("timeline.js", JAVASCRIPT),
    asset!("groups.js", JAVASCRIPT),
    asset!("chat.js", JAVASCRIPT),
    asset!("dom.js", JAVASCRIPT),
    asset!("login-view.js", JAVASCRIPT),
    asset!("conversations-view.js", JAVASCRIPT),
    asset!("messages-view.js", JAVASCRIPT),
    asset!("group-view.js", JAVASCRIPT),
    asset!("terminals-view.js", JAVASCRIPT),
    asset!("notifications.js", JAVASCRIPT),
    asset!("notifications-view.js", JAVASCRIPT),
    asset!("worker.js", JAVASCRIPT),
];
