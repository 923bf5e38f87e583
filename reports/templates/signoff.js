'use strict';
// Turns the form of the sign-off into a file. Nothing is sent anywhere; without this script the JSON is filled in by hand.
(() => {
  const form = document.getElementById('sign-off-form');
  if (!form) return;
  const part = name => document.getElementById(`sign-off-${name}`);
  const written = name => part(name).value.trim();
  const chosen = () => form.querySelector('[name="sign-off-decision"]:checked');

  const signOff = () => ({
    schema_version: 1,
    findings_sha256: form.dataset.sha256,
    name: written('name'),
    role: written('role'),
    decision: chosen() ? chosen().value : '',
    conditions: written('conditions'),
    notes: written('notes'),
    signed: `${new Date().toISOString().slice(0, 19)}Z`,
  });

  // What is missing, as a sentence and the field to go to; null if nothing is.
  const missing = signed => {
    if (!signed.name) return ['Please enter your name.', part('name')];
    if (!signed.role) return ['Please enter your role.', part('role')];
    if (!signed.decision) return ['Please choose a decision.', form.querySelector('[name="sign-off-decision"]')];
    if (signed.decision === 'approve_with_conditions' && !signed.conditions) {
      return ['Please name the conditions.', part('conditions')];
    }
    return null;
  };

  const show = () => {
    part('json').textContent = JSON.stringify(signOff(), null, 2);
    part('status').textContent = '';
  };

  const save = () => {
    const signed = signOff();
    const problem = missing(signed);
    if (problem) {
      part('status').textContent = problem[0];
      problem[1].focus();
      return;
    }
    const text = `${JSON.stringify(signed, null, 2)}\n`;
    part('json').textContent = text;
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    link.download = 'sign-off.json';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    part('status').textContent = 'Exported sign-off.json. Add it with: nla-audit report DIR --sign-off sign-off.json';
  };

  form.addEventListener('input', show);
  part('export').addEventListener('click', save);
  part('export').hidden = false;
  part('how').textContent = 'The same as JSON, as it will be exported:';
  show();
})();
