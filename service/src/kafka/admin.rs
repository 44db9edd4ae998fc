//! A client that manages topics, and its token.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use anyhow::{Context as _, bail};
use rdkafka::{
    admin::AdminClient,
    bindings::{rd_kafka_oauthbearer_set_token, rd_kafka_resp_err_t},
    client::OAuthToken,
};

use super::{KafkaConfig, Reporter, SaslMechanism, read_token};

impl KafkaConfig {
    /// A client that manages topics. One that logs in with a token keeps the token it begins with.
    ///
    /// # Errors
    ///
    /// A file with a secret that can't be read, or settings that no client can be made with.
    pub fn admin(&self, role: &str) -> anyhow::Result<AdminClient<Reporter>> {
        let client = self.client(role)?;
        let client: AdminClient<Reporter> =
            client.create_with_context(Reporter::new(self)).context("a client for Kafka can't be made")?;
        if self.sasl_mechanism == Some(SaslMechanism::Oauthbearer) {
            let path = self.sasl_token_file.as_deref().context("sasl-token-file is missing")?;
            set_token(&client, &read_token(path, self.sasl_username.as_deref())?)?;
        }
        Ok(client)
    }
}

/// Gives a client its token. Other clients ask for one when they are polled; rdkafka doesn't poll this kind.
#[allow(unsafe_code)]
fn set_token(client: &AdminClient<Reporter>, token: &OAuthToken) -> anyhow::Result<()> {
    let [value, principal] = [&token.token, &token.principal_name].map(|text| CString::new(text.as_str()));
    let (value, principal) = (value?, principal?);
    let mut reason = [0_u8; 512];
    let native = client.inner().native_ptr();
    // SAFETY: the client lives as long as it is borrowed, the texts end with 0 and are copied, there are no extensions,
    // and of the reason no more is written than there is room for.
    let code = unsafe {
        rd_kafka_oauthbearer_set_token(
            native,
            value.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            ptr::null_mut(),
            0,
            reason.as_mut_ptr().cast::<c_char>(),
            reason.len(),
        )
    };
    if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        let reason = CStr::from_bytes_until_nul(&reason).unwrap_or_default().to_string_lossy();
        bail!("the token can't be used: {reason}");
    }
    Ok(())
}
