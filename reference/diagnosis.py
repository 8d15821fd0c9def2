def diagnose(evidence): return ()
def facts(evidence): return ()
