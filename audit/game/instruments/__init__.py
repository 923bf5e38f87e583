"""What an auditor can measure: explanations, sparse features, the logit lens, probes, training data, comparison with the base twin."""
