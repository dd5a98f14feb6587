//! The SDK's clients for one environment: region, role, endpoint, retries and time limits.
//!
//! Credentials come from a pipeline's OIDC token or from the SDK's usual chain (`precedence`) and stay in memory; an
//! environment's `role` is assumed on top of them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_sdk_ecs::config::{Credentials, SharedCredentialsProvider};

use super::calls::Calls;
use super::ecs::Batch;
use super::pace::Pace;
use super::precedence::{Ambient, Choice, Clash, Renewal};
use super::remembered::Remembered;
use super::s3::Owner;
use super::web_identity::WebIdentity;
use crate::config::specification::Environment;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::registry::Proxies;
use crate::secret::Secret;
use crate::vars::Vars;

/// What decides where the calls go, besides the environment of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Every service's endpoint; `None`: the SDK's own rules (`AWS_ENDPOINT_URL` among them).
    pub(crate) endpoint_url: Option<String>,
    /// What the environment of the process offers besides the SDK's chain.
    pub(crate) ambient: Ambient,
    /// Keys to use in place of all others.
    pub(crate) credentials: Option<Credentials>,
    /// The region where neither deploy.yaml nor the SDK's chain names one.
    pub(crate) fallback_region: Option<&'static str>,
    /// Where the calls are counted.
    pub(crate) calls: Calls,
    /// The way to what ECR gives an address for. The SDK reads the environment's by itself.
    pub(crate) proxies: Proxies,
}

impl Settings {
    /// For AWS itself, with the credentials that are around this process.
    pub(crate) fn of(vars: &Vars) -> Self {
        Self { ambient: Ambient::of(vars), proxies: Proxies::of(vars), ..Self::default() }
    }

    /// For an endpoint on this machine that takes these keys.
    pub(crate) fn stand_in(endpoint: String, key: String, secret: &Secret, region: &'static str) -> Self {
        let credentials = Credentials::new(key, secret.expose(), None, None, "stand-in");
        Self {
            endpoint_url: Some(endpoint),
            credentials: Some(credentials),
            fallback_region: Some(region),
            ..Self::default()
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(crate) ecr: aws_sdk_ecr::Client,
    pub(crate) ecs: aws_sdk_ecs::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    pub(crate) region: String,
    /// Keeps the calls of the whole run within the account's rates.
    pub(crate) pace: Pace,
    /// Every `DescribeServices` of the run goes through here, so that many services share one call.
    pub(super) services: Batch,
    pub(super) config: SdkConfig,
    /// What gives `config` its credentials.
    pub(super) credentials: Option<Remembered>,
    pub(super) proxies: Proxies,
    ambient: Ambient,
    choice: Choice,
    role: Option<String>,
    /// The account that deploy.yaml names, where it does.
    pub(super) account: Option<String>,
    calls: Calls,
    s3: Arc<OnceLock<aws_sdk_s3::Client>>,
}

impl Clients {
    /// # Errors
    /// No region is known ([`Exit::Aws`]). Missing credentials show at the first call.
    pub(crate) async fn connect(environment: &Environment, settings: &Settings) -> Result<Self> {
        let config = load(environment, settings).await;
        let Some(region) = config.region().map(ToString::to_string) else {
            return Err(Error::new(Exit::Aws, "no AWS region is known").hint(format!(
                "set `aws.region` in deploy.yaml (or under `environments.{}.aws`), or AWS_REGION",
                environment.name
            )));
        };
        // Keys that are given settle it.
        let ambient = if settings.credentials.is_some() { Ambient::default() } else { settings.ambient.clone() };
        let choice = ambient.choose(environment.role.as_deref());
        let (config, credentials) = identify(config, &ambient, &choice, environment, &settings.calls).await;
        let (calls, pace) = (settings.calls.clone(), Pace::default());
        let ecr = aws_sdk_ecr::config::Builder::from(&config).interceptor(calls.clone()).build();
        let ecs = aws_sdk_ecs::config::Builder::from(&config).interceptor(calls.clone()).build();
        let sts = aws_sdk_sts::config::Builder::from(&config).interceptor(calls.clone()).build();
        let ecs = aws_sdk_ecs::Client::from_conf(ecs);
        Ok(Self {
            ecr: aws_sdk_ecr::Client::from_conf(ecr),
            services: Batch::start(ecs.clone(), pace.clone()),
            ecs,
            sts: aws_sdk_sts::Client::from_conf(sts),
            region,
            pace,
            config,
            credentials,
            proxies: settings.proxies.clone(),
            ambient,
            choice,
            role: environment.role.clone(),
            account: environment.account.clone(),
            calls,
            s3: Arc::default(),
        })
    }

    /// S3, made when a run first has a bucket to do with. Whether a bucket is part of the host or of the path is the SDK's
    /// decision: it takes the path where the endpoint is an address of numbers.
    pub(super) fn s3(&self) -> &aws_sdk_s3::Client {
        self.s3.get_or_init(|| {
            let mut config = aws_sdk_s3::config::Builder::from(&self.config).interceptor(self.calls.clone());
            if let Some(account) = &self.account {
                config = config.interceptor(Owner(account.clone()));
            }
            aws_sdk_s3::Client::from_conf(config.build())
        })
    }

    /// Two kinds of credentials where one was meant.
    pub(crate) fn clash(&self) -> Option<Clash> {
        self.ambient.clash(self.role.as_deref())
    }

    /// Until when credentials with these marks can be had anew.
    pub(super) async fn renewal(&self, features: &[Feature]) -> Renewal {
        self.ambient.renewal(&self.choice, features).await
    }

    /// CloudWatch Logs in the region that a task definition writes its log to, which need not be the service's.
    /// Made when asked for: most runs never read a log.
    pub(super) fn logs(&self, region: Option<&str>) -> aws_sdk_cloudwatchlogs::Client {
        let config = aws_sdk_cloudwatchlogs::config::Builder::from(&self.config);
        let mut config = config.interceptor(self.calls.clone());
        if let Some(region) = region {
            config = config.region(aws_sdk_cloudwatchlogs::config::Region::new(region.to_owned()));
        }
        aws_sdk_cloudwatchlogs::Client::from_conf(config.build())
    }
}

async fn load(environment: &Environment, settings: &Settings) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(6).with_max_backoff(Duration::from_secs(10)))
        .timeout_config(timeouts);
    if let Ok(name) = AppName::new("shipit") {
        loader = loader.app_name(name);
    }
    if let Some(region) = &environment.region {
        // Before the credentials are built: STS needs the region too.
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &settings.endpoint_url {
        // It is on this machine: no TLS, and no proxy on the way.
        loader = loader.endpoint_url(url).http_client(aws_smithy_http_client::Builder::new().build_http());
    }
    if let Some(credentials) = &settings.credentials {
        loader = loader.credentials_provider(SharedCredentialsProvider::new(credentials.clone()));
    }
    let config = loader.load().await;
    match settings.fallback_region {
        Some(region) if config.region().is_none() => config.to_builder().region(Region::new(region)).build(),
        _ => config,
    }
}

/// The configuration with its credentials: first those around this process, then the environment's role on top, unless
/// that is what the pipeline's token opens already.
async fn identify(
    config: SdkConfig,
    ambient: &Ambient,
    choice: &Choice,
    environment: &Environment,
    calls: &Calls,
) -> (SdkConfig, Option<Remembered>) {
    let role = environment.role.as_deref();
    let (base, opened) = match choice {
        Choice::Chain => (config.credentials_provider(), None),
        Choice::Token { token, role } => {
            let provider = WebIdentity::new(&config, calls, token.clone(), role.clone(), ambient.session_name());
            (Some(SharedCredentialsProvider::new(provider)), Some(role.as_str()))
        }
    };
    let Some(base) = base else { return (config, None) };
    let base = Remembered::new(base, ambient.missing(role)).of_login(ambient.login());
    let with = |provider: &Remembered| {
        config.to_builder().credentials_provider(SharedCredentialsProvider::new(provider.clone())).build()
    };
    let first = with(&base);
    let Some(role) = role.filter(|role| opened != Some(*role)) else { return (first, Some(base)) };
    let provider =
        AssumeRoleProvider::builder(role).session_name(ambient.session_name()).configure(&first).build().await;
    let top = Remembered::new(SharedCredentialsProvider::new(provider), String::new()).assuming(role);
    (with(&top), Some(top))
}
