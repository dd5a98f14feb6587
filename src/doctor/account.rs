//! Who AWS takes us for, in one environment: region, credentials, identity, the account guard.

use std::time::Duration;

use jiff::Timestamp;

use super::Check;
use crate::aws::credentials::{self, Source};
use crate::aws::identity::{Identity, identity};
use crate::aws::{Clash, Clients, Renewal, Settings};
use crate::config::specification::Environment;
use crate::exit::Exit;
use crate::gates;
use crate::vars::Vars;

/// How long a rollout may take unless `--timeout` says otherwise.
const WAIT: Duration = Duration::from_secs(20 * 60);

/// What the variables say before anything is asked. Which of several credentials are used depends on the environment's
/// role as well, and is told with it.
pub(super) fn variables(vars: &Vars) -> Vec<Check> {
    let keys = vars.has("AWS_ACCESS_KEY_ID") && vars.has("AWS_SECRET_ACCESS_KEY");
    let mut checks = Vec::new();
    if keys && vars.has("AWS_PROFILE") {
        checks.push(
            Check::unknown("credentials", "AWS_PROFILE is set, but the keys in AWS_ACCESS_KEY_ID win over it")
                .fix("unset AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY if the profile is meant"),
        );
    }
    if let Some(file) = vars.get("AWS_WEB_IDENTITY_TOKEN_FILE").filter(|_| !keys) {
        let readable = std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.len() > 0);
        if !readable {
            checks.push(Check::fails(
                "credentials",
                Exit::Aws,
                format!("AWS_WEB_IDENTITY_TOKEN_FILE names {file}, which is not there or empty"),
                "write the step's token there first (`oidc: true` on Bitbucket, `id_tokens` on GitLab)",
            ));
        }
        if !vars.has("AWS_ROLE_ARN") {
            checks.push(Check::fails(
                "credentials",
                Exit::Aws,
                "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not: the token opens nothing alone",
                "set AWS_ROLE_ARN to the role that trusts this pipeline",
            ));
        }
    }
    checks
}

/// The checks, and the clients where it makes sense to go on with them.
pub(super) async fn examine(
    environment: &Environment,
    settings: &Settings,
    vars: &Vars,
) -> (Vec<Check>, Option<Clients>) {
    let clients = match Clients::connect(environment, settings).await {
        Ok(clients) => clients,
        Err(error) => return (vec![Check::of_error("region", &error)], None),
    };
    let from = match &environment.region {
        Some(_) => "from deploy.yaml".to_owned(),
        None => region_source(vars),
    };
    let mut checks = vec![Check::works("region", format!("{} {from}", clients.region))];
    checks.extend(clients.clash().map(clash));
    match credentials::source(&clients).await {
        Ok(source) => checks.push(lifetime(&source, Timestamp::now())),
        Err(error) => {
            checks.push(Check::of_error("credentials", &error));
            return (checks, None);
        }
    }
    let identity = match identity(&clients).await {
        Ok(identity) => identity,
        Err(error) => {
            checks.push(Check::of_error("identity", &error));
            return (checks, None);
        }
    };
    checks.push(Check::works("identity", identity.arn.clone()));
    let guard = guard(environment, &identity);
    let right = guard.state != super::State::Fails;
    checks.push(guard);
    // What another account runs under the same names would be taken for ours.
    (checks, right.then_some(clients))
}

fn region_source(vars: &Vars) -> String {
    let set = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find(|name| vars.has(name));
    set.map_or_else(|| "from the profile".to_owned(), |name| format!("from {name}"))
}

fn lifetime(source: &Source, now: Timestamp) -> Check {
    let Some(until) = source.ends_at() else {
        let keys = match (source.keys_of_environment, source.renewal) {
            (true, _) => ", long-lived: nothing ends them but a person",
            (false, Renewal::Always) => ", renewed by themselves",
            _ => "",
        };
        return Check::works("credentials", format!("{}{keys}", source.words));
    };
    let minutes = until.duration_since(now).as_mins().max(0);
    match source.shortfall(WAIT, now) {
        Some(text) => Check::fails(
            "credentials",
            Exit::Aws,
            text,
            "log in again, or give the role's session and the pipeline's token more time",
        ),
        None => Check::works("credentials", format!("{}, for {minutes} more minutes", source.words)),
    }
}

fn clash(clash: Clash) -> Check {
    match clash.wrong {
        true => Check::fails("credentials", Exit::Aws, clash.text, clash.fix),
        false => Check::unknown("credentials", clash.text).fix(clash.fix),
    }
}

fn guard(environment: &Environment, identity: &Identity) -> Check {
    match (gates::account(environment, identity), &environment.account) {
        (Some(finding), _) => {
            Check::fails("account", finding.exit_code, finding.text, finding.hint.unwrap_or_default())
        }
        (None, Some(account)) => Check::works("account", format!("{account}, the one that deploy.yaml names")),
        (None, None) => {
            Check::unknown("account", format!("{}; deploy.yaml names none, so no other is refused", identity.account))
                .fix(format!("write `account: \"{}\"` under `aws` if that is the one", identity.account))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Renewal, Source, Timestamp, Vars, lifetime, variables};
    use crate::doctor::State;

    #[test]
    fn variables_that_do_not_go_together_are_told() {
        let told = |names: &[&str]| {
            let vars: Vars = names.iter().map(|name| (*name, "x")).collect();
            variables(&vars).into_iter().map(|check| check.state).collect::<Vec<_>>()
        };
        let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        assert_eq!(told(&keys), []);
        assert_eq!(told(&[keys[0], keys[1], "AWS_PROFILE"]), [State::Unknown]);
        // Neither the file nor the role.
        assert_eq!(told(&["AWS_WEB_IDENTITY_TOKEN_FILE"]), [State::Fails, State::Fails]);
    }

    #[test]
    fn credentials_have_to_live_through_the_wait() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ending = |seconds: Option<i64>| {
            let expires_at = seconds.map(|seconds| Timestamp::from_second(1_000_000 + seconds).unwrap());
            let renewal = Renewal::Unknown;
            lifetime(&Source { words: "SSO".to_owned(), keys_of_environment: false, expires_at, renewal }, now)
        };
        assert_eq!(ending(None).state, State::Works);
        assert_eq!(ending(Some(3600)).detail, "SSO, for 60 more minutes");
        assert_eq!((ending(Some(600)).state, ending(Some(-5)).state), (State::Fails, State::Fails));
    }
}
