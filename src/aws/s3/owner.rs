//! The account guard of deploy.yaml, for buckets: their names are the world's, so one of the right name may be somebody
//! else's. S3 itself compares, at every call, and refuses.

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;

const HEADER: &str = "x-amz-expected-bucket-owner";

/// Says whose bucket it has to be.
#[derive(Debug)]
pub(in crate::aws) struct Owner(pub(in crate::aws) String);

#[dyn_dispatch_hint]
impl Intercept for Owner {
    fn name(&self) -> &'static str {
        "owner"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().headers_mut().insert(HEADER, self.0.clone());
        Ok(())
    }
}
