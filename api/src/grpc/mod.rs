//! The gRPC transport: decode, one call of the service, encode. gRPC-web comes with it.

mod admin;
mod attachment;
mod auth;
mod block;
mod contact;
mod convert;
mod deadline;
mod group;
mod info;
mod message;
mod methods;
mod policy;
mod presence;
mod profile;
mod push;
mod schedule;
mod search;
mod send_stream;
mod status;
mod terminals;

use std::sync::Arc;

use axum::{
    Router,
    http::{
        HeaderMap,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    middleware::from_fn_with_state,
    response::Response,
};
use imd_proto::{PUBLIC_FILE_DESCRIPTOR_SET, v1};
use tonic::{
    Status,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    service::{Routes, RoutesBuilder},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tonic_web::GrpcWebLayer;

use self::deadline::Longest;
pub use self::policy::GrpcPolicy;
use crate::{
    model::Error,
    service::{MOST_LISTED, Service},
};

/// The largest request to decode, in bytes, beyond the largest body of a message.
const OVERHEAD: usize = 16 * 1024;

/// The same of an administrator's: as many user ids as a broadcast may list.
const LARGEST_LIST: usize = MOST_LISTED * 66;

/// The services whose health is told apart.
const HEALTH_SERVICES: [&str; 2] =
    [v1::auth_service_server::SERVICE_NAME, v1::message_service_server::SERVICE_NAME];

/// The services that the public listener tells of.
const PUBLIC_SERVICES: [&str; 12] = [
    v1::auth_service_server::SERVICE_NAME,
    v1::message_service_server::SERVICE_NAME,
    v1::block_service_server::SERVICE_NAME,
    v1::attachment_service_server::SERVICE_NAME,
    v1::group_service_server::SERVICE_NAME,
    v1::contact_service_server::SERVICE_NAME,
    v1::presence_service_server::SERVICE_NAME,
    v1::profile_service_server::SERVICE_NAME,
    v1::push_service_server::SERVICE_NAME,
    v1::schedule_service_server::SERVICE_NAME,
    v1::info_service_server::SERVICE_NAME,
    "grpc.health.v1.Health",
];

/// The services of the public listener, and the handle by which their health is told.
pub async fn public_router(service: Arc<Service>) -> (Router, HealthReporter) {
    let largest = service.max_body_bytes() + OVERHEAD * 4;
    let auth = v1::auth_service_server::AuthServiceServer::new(auth::Auth(service.clone()))
        .max_decoding_message_size(largest)
        .accept_compressed(CompressionEncoding::Gzip);
    let message =
        v1::message_service_server::MessageServiceServer::new(message::Messages(service.clone()))
            .max_decoding_message_size(largest)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip);
    let group = v1::group_service_server::GroupServiceServer::new(group::Groups(service.clone()))
        .max_decoding_message_size(OVERHEAD * 8)
        .send_compressed(CompressionEncoding::Gzip);
    let block = v1::block_service_server::BlockServiceServer::new(block::Blocks(service.clone()))
        .max_decoding_message_size(OVERHEAD);
    let contact =
        v1::contact_service_server::ContactServiceServer::new(contact::Contacts(service.clone()))
            .max_decoding_message_size(OVERHEAD);
    let presence = v1::presence_service_server::PresenceServiceServer::new(
        presence::PresenceOfUsers(service.clone()),
    );
    let presence = presence.max_decoding_message_size(OVERHEAD * 4);
    let profile =
        v1::profile_service_server::ProfileServiceServer::new(profile::Profiles(service.clone()))
            .max_decoding_message_size(OVERHEAD * 4);
    let push =
        v1::push_service_server::PushServiceServer::new(push::PushOfTerminals(service.clone()))
            .max_decoding_message_size(OVERHEAD);
    let schedule = v1::schedule_service_server::ScheduleServiceServer::new(schedule::Schedule(
        service.clone(),
    ))
    .max_decoding_message_size(largest)
    .accept_compressed(CompressionEncoding::Gzip);
    let attachment = v1::attachment_service_server::AttachmentServiceServer::new(
        attachment::Attachments(service.clone()),
    )
    .max_decoding_message_size(OVERHEAD);
    let call_timeout = service.call_timeout();
    let info = v1::info_service_server::InfoServiceServer::new(info::Info(service))
        .max_decoding_message_size(OVERHEAD);
    let (health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, true).await;
    let mut routes = Routes::builder();
    routes
        .add_service(auth)
        .add_service(message)
        .add_service(group)
        .add_service(block)
        .add_service(contact)
        .add_service(presence)
        .add_service(profile)
        .add_service(push)
        .add_service(schedule)
        .add_service(attachment)
        .add_service(info);
    routes.add_service(health_service);
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(PUBLIC_FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        PUBLIC_SERVICES
            .into_iter()
            .fold(builder, tonic_reflection::server::Builder::with_service_name)
    };
    // Many tools still ask in the older dialect.
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => drop(routes.add_service(v1).add_service(v1alpha)),
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no server reflection"),
    }
    (router(plain(routes), Longest(Some(call_timeout))), health)
}

/// Tells whether the node can do its work.
pub async fn set_health(reporter: &HealthReporter, serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in HEALTH_SERVICES {
        reporter.set_service_status(service, status).await;
    }
}

/// The services of the admin listener.
pub fn admin_router(service: Arc<Service>) -> Router {
    // A broadcast may list many users. Whose key is not good is refused before its request is read.
    let largest = service.max_body_bytes() + LARGEST_LIST;
    let known_first = from_fn_with_state(service.clone(), admin::known_first);
    let admin = v1::admin_service_server::AdminServiceServer::new(admin::Administration(service))
        .max_decoding_message_size(largest);
    let mut routes = Routes::builder();
    routes.add_service(admin);
    // An administrator may ask for what takes its time.
    router(plain(routes).route_layer(known_first), Longest(None))
}

/// Without the fallback that tonic brings along, so that it can be merged with other routes.
fn plain(routes: RoutesBuilder) -> Router {
    routes.routes().prepare().into_axum_router().reset_fallback()
}

/// With gRPC-web on these routes alone, because its layer refuses every other HTTP/1.1 request.
fn router(routes: Router, longest: Longest) -> Router {
    routes.route_layer(from_fn_with_state(longest, deadline::keep)).route_layer(GrpcWebLayer::new())
}

/// Whether a request is a gRPC call.
#[must_use]
pub fn is_call(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|name| name.starts_with("application/grpc"))
}

/// The answer to a call of a method that this listener does not have.
#[must_use]
pub fn unknown_method() -> Response {
    Status::unimplemented("this listener has no such method").into_http()
}

/// The answer to a call that is refused for an error, whatever it is.
#[must_use]
pub fn refuse(error: Error) -> Response {
    status::status(error).into_http()
}

/// The bearer token of a call.
fn bearer(metadata: &MetadataMap) -> Option<&str> {
    bearer_token(metadata.as_ref())
}

/// The bearer token in the header of a request.
#[must_use]
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
