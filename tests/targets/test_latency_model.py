def test_a_model_travels_without_what_it_remembers():
    import pickle

    from mvsearch.costs import lower
    from mvsearch.spec.published import network
    from mvsearch.targets.predictor.shipped import shipped_model

    model, parts = shipped_model("iphone12"), lower(network("mobilevit_xs"), 256)
    before = model.predict(parts, target="iphone12")
    sent = pickle.dumps(model)
    assert len(sent) < 20_000
    assert pickle.loads(sent).predict(parts, target="iphone12") == before
