/** The two ways in which a check says no. */

/** A refusal: the artefact was judged and is not what it claims to be. `code` is a key of the texts. */
export class Refused extends Error {
  constructor(code, values = {}) {
    super(code);
    this.code = code;
    this.values = values;
  }
}

/** A refusal to judge: the artefact has no form that can be judged, so it is neither true nor false. */
export class NotJudged extends Refused {}

/** A trust bundle that cannot be trusted; nothing can be verified with it. */
export class TrustFailed extends Refused {}
