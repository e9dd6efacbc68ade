"""What sources share with those who load no model."""
