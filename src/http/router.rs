//! Which handler answers which path. Nothing else is decided here.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::layers;
use super::routes::{
    actions, batch, controls, credentials, dead, docs, events, health, health_detailed, held, jobs, keys, operations,
    providers, queues, scaling, types, usage, watch, workers, workspaces, ws,
};
use super::state::HttpState;

/// The documented endpoints; their paths and methods stand in the annotation of each handler.
pub(super) fn documented() -> OpenApiRouter<HttpState> {
    of_jobs().merge(of_operators()).merge(of_workspaces()).merge(of_the_server())
}

fn of_jobs() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(jobs::create, jobs::list))
        .routes(routes!(batch::create_many))
        .routes(routes!(watch::stream))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::redrive))
        .routes(routes!(events::stream))
        .routes(routes!(jobs::why))
        .routes(routes!(held::effects))
        .routes(routes!(held::approve))
        .routes(routes!(held::reject))
        .routes(routes!(held::resolve))
        .routes(routes!(held::release))
        .routes(routes!(ws::open))
        .routes(routes!(types::list))
}

fn of_operators() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(queues::list))
        .routes(routes!(queues::show))
        .routes(routes!(queues::pause))
        .routes(routes!(queues::resume))
        .routes(routes!(queues::drain))
        .routes(routes!(queues::why))
        .routes(routes!(scaling::stats))
        .routes(routes!(workers::list))
        .routes(routes!(workers::show))
        .routes(routes!(workers::quiet))
        .routes(routes!(workers::resume))
        .routes(routes!(workers::stop))
        .routes(routes!(dead::list))
        .routes(routes!(operations::begin, operations::list))
        .routes(routes!(operations::show))
        .routes(routes!(operations::stop))
        .routes(routes!(operations::resume))
        .routes(routes!(providers::list))
        .routes(routes!(providers::models))
        .routes(routes!(providers::test))
}

fn of_workspaces() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(usage::report))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(workspaces::limits, workspaces::set_limits))
        .routes(routes!(credentials::list))
        .routes(routes!(credentials::put, credentials::remove))
        .routes(routes!(credentials::test))
        .routes(routes!(credentials::rotate))
        .routes(routes!(actions::show, actions::set, actions::remove))
        .routes(routes!(actions::disable))
        .routes(routes!(actions::enable))
}

fn of_the_server() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::ready))
        .routes(routes!(health::health))
        .routes(routes!(health_detailed::show))
        .routes(routes!(controls::log_level, controls::set_log_level, controls::reset_log_level))
        .routes(routes!(health::meta))
        .routes(routes!(health::metrics))
        .routes(routes!(docs::openapi))
}

/// The whole API over one state.
pub fn router(state: HttpState) -> Router {
    let (router, _) = documented().split_for_parts();
    router
        .route("/docs", get(docs::page))
        .route("/docs/docs.js", get(docs::script))
        .route("/docs/docs.css", get(docs::style))
        .fallback(layers::no_route)
        .method_not_allowed_fallback(layers::no_method)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(state.clone(), layers::around))
        .with_state(state)
}
