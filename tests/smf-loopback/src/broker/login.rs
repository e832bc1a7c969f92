//! Login: who may come in, and what a client is told about the broker.

use super::{SessionError, State};
use crate::ids::SessionId;
use crate::wire::client_ctrl::{
    Capability, ClientCtrl, Login, MessageKind, capabilities, field, write_answer,
};
use crate::wire::frame::Frame;
use crate::wire::response::Response;

const PLATFORM: &str = "smf-loopback in-memory test broker\0";
const ROUTER_NAME: &str = "smf-loopback\0";
const VIRTUAL_ROUTER_NAME: &str = "#smf-loopback\0";
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
const DEFAULT_VPN: &str = "default";

/// What this broker does. Flags of what it does not do stay off, so that a client that needs it says so.
const CAPABILITIES: [Capability; 7] = [
    Capability::SUB_FLOW_GUARANTEED,
    Capability::PUB_FLOW_GUARANTEED,
    Capability::TEMPORARY_ENDPOINT,
    Capability::ENDPOINT_MANAGEMENT,
    Capability::QUEUE_SUBSCRIPTIONS,
    Capability::FLOW_CHANGE_UPDATES,
    Capability::NEGATIVE_ACKNOWLEDGEMENT,
];

impl State {
    pub(super) fn login(&mut self, id: SessionId, frame: &Frame) -> Result<(), SessionError> {
        let login = Login::parse(frame)?;
        match (login.kind, self.check_login(&login)) {
            (MessageKind::Update, _) => self.answer_update(id),
            (MessageKind::Login, Ok(())) => self.accept_login(id, &login),
            (MessageKind::Login, Err(refusal)) => self.refuse_login(id, &login, &refusal),
        }
        Ok(())
    }

    fn check_login(&self, login: &Login<'_>) -> Result<(), Response> {
        if let Some(refusal) = &self.faults.login_refusal {
            return Err(refusal.clone());
        }
        let logged_in = self.sessions.values().filter(|session| session.client_name.is_some());
        if logged_in.count() >= self.config.max_connections {
            return Err(Response::TOO_MANY_CLIENTS);
        }
        if let Some(credentials) = &self.config.credentials {
            let username_fits = login.username.as_deref() == Some(&credentials.username);
            let password_fits = login.password.as_deref() == Some(&credentials.password);
            if !(username_fits && password_fits) {
                return Err(Response::UNAUTHORIZED);
            }
        }
        match &self.config.vpn {
            Some(vpn) if login.vpn != Some(vpn) => Err(Response::VPN_NOT_ALLOWED),
            _ => Ok(()),
        }
    }

    fn accept_login(&mut self, id: SessionId, login: &Login<'_>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let generated = format!("client-{}", id.0);
        let client_name = login.client_name.filter(|name| !name.is_empty()).unwrap_or(&generated);
        session.client_name = Some(client_name.into());
        self.totals.logins += 1;
        tracing::debug!(client_name, "client logged in");

        let client_name = format!("{client_name}\0");
        let vpn = format!("{}\0", login.vpn.unwrap_or(DEFAULT_VPN));
        let p2p_topic_base = format!("#P2P/v:smf-loopback/{}/#\0", id.0);
        let capabilities = capabilities(&CAPABILITIES, self.config.max_message_bytes);
        let fields = vec![
            (field::SOFTWARE_VERSION, VERSION.as_bytes()),
            (field::PLATFORM, PLATFORM.as_bytes()),
            (field::VPN_NAME, vpn.as_bytes()),
            (field::VIRTUAL_ROUTER_NAME, VIRTUAL_ROUTER_NAME.as_bytes()),
            (field::ROUTER_NAME, ROUTER_NAME.as_bytes()),
            (field::CLIENT_NAME, client_name.as_bytes()),
            (field::P2P_TOPIC_BASE, p2p_topic_base.as_bytes()),
            (field::CAPABILITIES, capabilities.as_slice()),
        ];
        let body = ClientCtrl { kind: MessageKind::Login, fields };
        self.send(id, |out| write_answer(out, &Response::OK, &body));
    }

    fn refuse_login(&self, id: SessionId, login: &Login<'_>, refusal: &Response) {
        tracing::info!(client_name = login.client_name, code = refusal.code, text = %refusal.text, "login refused");
        let body = ClientCtrl { kind: MessageKind::Login, fields: Vec::new() };
        self.send(id, |out| write_answer(out, refusal, &body));
        if let Some(session) = self.sessions.get(&id) {
            session.outbox.finish();
        }
    }

    fn answer_update(&self, id: SessionId) {
        let body = ClientCtrl { kind: MessageKind::Update, fields: Vec::new() };
        self.send(id, |out| write_answer(out, &Response::OK, &body));
    }
}
