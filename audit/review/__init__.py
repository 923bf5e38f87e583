"""What people add to an audit: labels of their own, by which scanners are measured, and a sign-off bound to the findings."""
